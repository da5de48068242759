"""Guards that silence an alert while another one fires for the same fault.

Neither Prometheus nor Grafana's Alertmanager has inhibition rules here, so each expression contains
what silences it: symptoms are silent while the alert on their cause fires, and the less severe
alert of a pair while the more severe one fires.

A guard silences an alert only once the other one's condition has held for its `for` duration.
Otherwise a value that swings around a threshold would fire neither alert.
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
    """Return the guard that silences an alert while the proxy is down.

    One lost scrape isn't enough: a saturated proxy may miss one.
    """
    up, wait = f"up{{{PROXY}}}", duration(t.timing.down_for_seconds)
    return quiet_while(f"max_over_time({up}[{wait}]) == 0 or absent_over_time({up}[{wait}])")


def unless_explained(t: Thresholds, *, window_seconds: int | None = None) -> tuple[str, ...]:
    """Return the guards of a symptom: silent while the proxy is down or its engine unreachable.

    An engine that didn't answer for the `for` duration of MistralEngineUnreachable explains the
    symptoms as long as their window contains that time, even if that alert doesn't fire because
    the engine is starting for the first time. ``window_seconds`` is the window, by default the
    usual one.
    """
    reachable = recorded.engine_reachable(t.timing).of(JOB)
    window = duration(window_seconds or t.timing.window_seconds)
    return unless_down(t), quiet_while(f"min_over_time({reachable}[{window}]) == 0")


def unless_very_high_latency(t: Thresholds) -> str:
    """Return the guard that silences an alert while latency is very high."""
    p95 = recorded.latency_p95(t.timing).of(JOB)
    wait = duration(t.timing.page_for_seconds)
    return quiet_while(f"min_over_time({p95}[{wait}]) > {t.very_high_latency_seconds:g}")


def enough(requests: Recording, minimum: int) -> str:
    """Return the guard that requires a minimum number of requests."""
    return require(f"{requests.of(JOB)} >= {minimum}")
