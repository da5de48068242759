"""Alerts on a proxy or an engine that is down, and on requests that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alerts import recordings as recorded
from alerts.guards import unless_explained, while_scraped
from alerts.model import Alert
from alerts.promql import BY_INSTANCE, PROXY, duration, over_time, require
from monitoring.names import JOB

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds

# How far back Prometheus looks for a time at which the engine answered.
_REMEMBERED_SECONDS: Final = 86_400


def down(t: Thresholds) -> Alert:
    """Return the alert on a proxy that can't be scraped, or on a job without a target.

    Prometheus doesn't know how many targets there should be, so one that leaves while others stay
    isn't reported: it looks like a planned change.
    """
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
            f"Prometheus can't scrape the proxy (job {JOB}), so clients probably get no response "
            "either. Check whether its container or process runs, read its last log lines and "
            "start it again. Then find out why it stopped."
        ),
    )


def engine_unreachable(t: Thresholds) -> Alert:
    """Return the alert on an engine that doesn't answer the proxy.

    An engine that has never answered may still be downloading its model and gets more time.
    Prometheus' samples decide this, since a restarted proxy doesn't know whether
    the engine answered before. A lost scrape leaves the gauges without a sample, so the last one
    within MistralDown's `for` duration is used.
    """
    recent = t.timing.down_for_seconds
    up = f"mistral_upstream_up{{{PROXY}}}"
    started = over_time("last", f"mistral_start_time_seconds{{{PROXY}}}", recent)
    served = f"{over_time('max', up, _REMEMBERED_SECONDS)} == 1"
    late = f"time() - {started} > {t.engine_start_minutes * 60}"
    return Alert(
        name="MistralEngineUnreachable",
        severity="critical",
        value=over_time("last", up, recent),
        comparison="==",
        threshold=0,
        guards=(require(f"({served} or {late})", on=BY_INSTANCE), while_scraped(t)),
        for_seconds=t.timing.page_for_seconds,
        summary="The engine doesn't answer the proxy.",
        description=(
            "The proxy is up, but its engine hasn't answered for at least "
            f"{duration(t.timing.page_for_seconds)}, so every generation fails. Check whether the "
            "engine has stopped, is loading its model, or hangs. Read its last log lines and start "
            "it again."
        ),
    )


def high_error_rate(t: Thresholds) -> Alert:
    """Return the alert on a high share of failed requests; client errors don't count."""
    return Alert(
        name="MistralHighErrorRate",
        severity="warning",
        value=recorded.error_ratio(t).of(JOB),
        comparison=">",
        threshold=t.high_error_ratio,
        guards=(unless_explained(t),),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Too many requests fail.",
        description=(
            "{value} of the requests fail "
            f"(threshold {t.high_error_ratio * 100:g} %). Cancelled requests and client errors "
            "don't count. The panel Errors by type shows whether the engine refuses requests, "
            "times out or breaks off. Then read the engine's log."
        ),
        value_format="humanizePercentage",
    )
