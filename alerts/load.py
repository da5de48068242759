"""Alerts on too many requests, and on none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import recordings as recorded
from alerts.guards import unless_down, unless_explained
from alerts.model import Alert
from alerts.promql import PROXY, duration, increase, require

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds


def high_active_requests(t: Thresholds) -> Alert:
    """Return the alert on too many requests at once.

    A lost scrape leaves the gauge without a sample, so the last one within MistralDown's `for`
    duration is used.
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
        summary="Too many requests are active.",
        description=(
            "{value} requests are active "
            f"(threshold {t.high_active_requests}). If latency rises too, the engine is saturated: "
            "find the client that sends the most, or add capacity. If not, raise the threshold."
        ),
    )


def no_requests(t: Thresholds) -> Alert:
    """Return the alert on a proxy that is up but gets no requests."""
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
            f"The proxy is up, but has had no request for {t.no_requests_minutes} minutes. "
            "In quiet hours this is normal. Otherwise check the address that clients use, the "
            "network, and any reverse proxy in front of this one."
        ),
    )
