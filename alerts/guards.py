"""Guards that silence an alert while another one fires for the same fault.

Neither Prometheus nor Grafana's Alertmanager has inhibition rules here, so each expression contains
what silences it: symptoms are silent while the alert on their cause fires, and the less severe
alert of a pair while the more severe one fires.

A guard may silence only what the other alert really reports:

- It silences an alert only once the other one's condition has held for its `for` duration.
  Otherwise a value that swings around a threshold would fire neither alert.
- It uses the other one's whole condition, including its minimum number of requests.
- It silences only the proxy for which the other one fires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import recordings as recorded
from alerts.promql import BY_INSTANCE, over_time, quiet_while, require
from monitoring.names import JOB

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds


def while_scraped(t: Thresholds) -> str:
    """Return the guard that silences an alert on a proxy that is down or no longer a target.

    One lost scrape isn't enough: a saturated proxy may miss one.
    """
    return require(f"{recorded.scraped(t.timing)} == 1", on=BY_INSTANCE)


def unless_explained(t: Thresholds) -> str:
    """Return the guard of a symptom: silent if its proxy is down or its engine unreachable."""
    return require(recorded.unexplained(t.timing).of(JOB), on=BY_INSTANCE)


def unless_very_high_latency(t: Thresholds) -> str:
    """Return the guard that silences an alert while MistralVeryHighLatency fires."""
    return quiet_while(_very_high_latency(t), on=BY_INSTANCE)


def unless_any_latency_alert(t: Thresholds) -> str:
    """Return the guard that silences an alert while one of the two alerts on latency fires."""
    held = over_time("min", recorded.wait_p95(t).of(JOB), t.timing.ticket_for_seconds)
    high = f"{held} > {t.high_latency_seconds:g}"
    return quiet_while(f"{_very_high_latency(t)} or {high}", on=BY_INSTANCE)


def _very_high_latency(t: Thresholds) -> str:
    held = over_time("min", recorded.wait_p95(t).of(JOB), t.timing.page_for_seconds)
    return f"{held} > {t.very_high_latency_seconds:g}"
