"""Alerts on too many requests, and on none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import recordings as recorded
from alerts.guards import unless_explained, while_scraped
from alerts.model import Alert
from alerts.promql import (
    BY_INSTANCE,
    BY_JOB,
    PROXY,
    duration,
    increase,
    over_time,
    quiet_while,
    require,
)

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds


def high_active_requests(t: Thresholds) -> Alert:
    """Return the alert on too many requests at once.

    A lost scrape leaves the gauge without a sample, so the last one within MistralDown's `for`
    duration is used.
    """
    active = over_time("last", f"mistral_active_requests{{{PROXY}}}", t.timing.down_for_seconds)
    return Alert(
        name="MistralHighActiveRequests",
        severity="warning",
        value=f"sum by ({BY_INSTANCE}) ({active})",
        comparison=">",
        threshold=t.high_active_requests,
        guards=(unless_explained(t),),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Too many requests are active.",
        description=(
            "{value} requests are active "
            f"(threshold {t.high_active_requests}). If latency rises too, the engine is saturated: "
            "find the client that sends the most, or add capacity. If not, raise the threshold."
        ),
    )


def no_requests(t: Thresholds) -> Alert:
    """Return the alert on proxies of which at least one was up all the time and none got requests.

    A request counts when it ends, so requests that are still active count too.
    """
    seconds = t.no_requests_minutes * 60
    up = f"up{{{PROXY}}}"
    waiting = (
        f"{over_time('min', up, seconds)} == 1",
        # A new Prometheus doesn't know yet.
        require(f"{up} offset {duration(seconds)} == 1", on=BY_INSTANCE),
        while_scraped(t),
        require(f"time() - mistral_start_time_seconds{{{PROXY}}} > {seconds}", on=BY_INSTANCE),
    )
    active = over_time("max", f"mistral_active_requests{{{PROXY}}}", seconds)
    return Alert(
        name="MistralNoRequests",
        severity="info",
        value=increase(recorded.REQUESTS, seconds, by=BY_JOB),
        comparison="==",
        threshold=0,
        guards=(
            require(f"({' '.join(waiting)})", on=BY_JOB),
            quiet_while(f"{active} > 0", on=BY_JOB),
        ),
        for_seconds=t.timing.notice_for_seconds,
        summary="No requests arrive.",
        description=(
            f"The proxy is up, but has had no request for {t.no_requests_minutes} minutes. "
            "In quiet hours this is normal. Otherwise check the address that clients use, the "
            "network, and any reverse proxy in front of this one."
        ),
    )
