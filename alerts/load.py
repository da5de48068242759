"""Too much work, or none at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import recordings as recorded
from alerts.guards import unless_down, unless_explained
from alerts.model import Alert
from alerts.promql import PROXY, duration, increase, require

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds


def high_active_requests(t: Thresholds) -> Alert:
    """More work is accepted than gets done.

    One lost scrape takes the gauge away, so its last value of the last minute is read.
    """
    recent = f"[{duration(t.timing.down_for_seconds)}]"
    return Alert(
        name="MistralHighActiveRequests",
        severity="warning",
        value=f"sum by (job) (last_over_time(mistral_active_requests{{{PROXY}}}{recent}))",
        comparison=">",
        threshold=t.high_active_requests,
        guards=unless_explained(t),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Requests pile up.",
        description=(
            "{value} requests are in flight "
            f"(limit {t.high_active_requests}). If latency rises too, the engine is saturated: "
            "find the client that sends so much, or add capacity. If not, raise the limit."
        ),
    )


def no_requests(t: Thresholds) -> Alert:
    """A proxy that is up, and has been for long enough, is asked for nothing."""
    seconds = t.no_requests_minutes * 60
    return Alert(
        name="MistralNoRequests",
        severity="info",
        value=increase(recorded.REQUESTS, seconds),
        comparison="==",
        threshold=0,
        guards=(
            require(f"min_over_time(up{{{PROXY}}}[{duration(seconds)}]) == 1"),
            require(f"time() - mistral_start_time_seconds{{{PROXY}}} > {seconds}"),
            unless_down(t),
        ),
        for_seconds=t.timing.notice_for_seconds,
        summary="No requests arrive.",
        description=(
            f"The proxy is up, but nobody has asked it anything for {t.no_requests_minutes} "
            "minutes. At a quiet hour this is fine; otherwise check the clients' address, the "
            "network and whatever stands in front of the proxy."
        ),
    )
