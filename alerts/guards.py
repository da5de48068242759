"""What keeps an alert quiet.

One fault tells people once. Neither Prometheus nor Grafana's own Alertmanager is given inhibition
rules, so each expression names what silences it: symptoms are quiet while their cause is told, the
milder half of a pair is quiet while the graver one is.

A silence holds only where the other alert has held for its whole waiting time. Were a moment
enough, a value that swings around a limit would fire neither of the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import recordings as recorded
from alerts.promql import PROXY, duration, quiet_while, require
from monitoring.names import JOB

if TYPE_CHECKING:
    from alerts.model import Recording
    from monitoring.thresholds import Thresholds


def unless_down(t: Thresholds) -> str:
    """Give the guard of what a proxy that is down tells already.

    One lost scrape is not enough: a saturated proxy may miss one just when it matters.
    """
    up, wait = f"up{{{PROXY}}}", duration(t.timing.down_for_seconds)
    return quiet_while(f"max_over_time({up}[{wait}]) == 0 or absent_over_time({up}[{wait}])")


def unless_explained(t: Thresholds, *, window_seconds: int | None = None) -> tuple[str, ...]:
    """Give the guards of a symptom: quiet while the proxy is down or its engine is gone.

    An engine that was gone for the wait of its own alert explains the symptoms for as long as their
    look-back still contains that, even while the alert leaves it time for its first start.
    ``window_seconds`` is that look-back, the usual one if not given.
    """
    reachable = recorded.engine_reachable(t.timing).of(JOB)
    window = duration(window_seconds or t.timing.window_seconds)
    return unless_down(t), quiet_while(f"min_over_time({reachable}[{window}]) == 0")


def unless_very_high_latency(t: Thresholds) -> str:
    """Give the guard of what very high latency tells already."""
    p95 = recorded.latency_p95(t.timing).of(JOB)
    wait = duration(t.timing.page_for_seconds)
    return quiet_while(f"min_over_time({p95}[{wait}]) > {t.very_high_latency_seconds:g}")


def enough(requests: Recording, minimum: int) -> str:
    """Give the guard against judging a handful of requests."""
    return require(f"{requests.of(JOB)} >= {minimum}")
