"""Whether the proxy and its engine are there, and answer without failing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alerts import recordings as recorded
from alerts.guards import enough, unless_down, unless_explained
from alerts.model import Alert
from alerts.promql import PROXY, duration, require
from monitoring.names import JOB

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds

#: How long an engine that answered is expected to do so again; beyond any restart of the proxy.
_REMEMBERED: Final = "1d"


def down(t: Thresholds) -> Alert:
    """Nobody is served. ``absent`` also catches a target that left the configuration."""
    return Alert(
        name="MistralDown",
        severity="critical",
        value=f"up{{{PROXY}}}",
        comparison="==",
        threshold=0,
        guards=(f"or absent(up{{{PROXY}}})",),
        for_seconds=t.timing.down_for_seconds,
        summary="The Mistral.rs proxy is down.",
        description=(
            f"Prometheus cannot scrape the proxy (job {JOB}), so clients most likely get no answer "
            "either. Look whether its container or process runs and read its last log lines; "
            "start it again, then find out why it went."
        ),
    )


def engine_unreachable(t: Thresholds) -> Alert:
    """The proxy runs, but has nobody to pass requests to.

    An engine that never answered may still fetch its model, which cuts nobody off: it is given
    longer. What Prometheus remembers decides, since a restarted proxy knows of no earlier answer.
    """
    up = f"mistral_upstream_up{{{PROXY}}}"
    waited = f"time() - mistral_start_time_seconds{{{PROXY}}}"
    served = f"max_over_time({up}[{_REMEMBERED}]) == 1"
    late = f"{waited} > {t.engine_start_minutes * 60}"
    return Alert(
        name="MistralEngineUnreachable",
        severity="critical",
        value=up,
        comparison="==",
        threshold=0,
        guards=(require(f"({served} or {late})", on="job, instance"), unless_down(t)),
        for_seconds=t.timing.page_for_seconds,
        summary="The engine does not answer the proxy.",
        description=(
            "The proxy is up, but its engine has not answered for at least "
            f"{duration(t.timing.page_for_seconds)}, so every generation fails. Look whether the "
            "engine runs, still loads its model, or hangs; read its last log lines and start it "
            "again."
        ),
    )


def high_error_rate(t: Thresholds) -> Alert:
    """Too many requests fail through no fault of the client."""
    return Alert(
        name="MistralHighErrorRate",
        severity="warning",
        value=recorded.error_ratio(t.timing.window_seconds).of(JOB),
        comparison=">",
        threshold=t.high_error_ratio,
        guards=(
            enough(recorded.judged_requests(t.timing.window_seconds), t.error_min_requests),
            *unless_explained(t),
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Too many requests fail.",
        description=(
            "{value} of the requests fail "
            f"(limit {t.high_error_ratio * 100:g} %), not counting what clients cancelled or asked "
            "wrongly. The panel of errors by type says whether the engine refuses, times out or "
            "breaks off; then read its log."
        ),
        value_format="humanizePercentage",
    )
