"""The recorded series: what several alerts read, or what is costly to compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import promql
from alerts.model import Recording

if TYPE_CHECKING:
    from alerts.thresholds import Timing

REQUESTS = "mistral_http_requests_total"


def latency_p95(timing: Timing) -> Recording:
    """95th percentile of the request duration, seconds."""
    window = timing.window_seconds
    return Recording(
        name=f"job:mistral_http_request_duration_seconds:p95_{promql.duration(window)}",
        expr=promql.p95("mistral_http_request_duration_seconds", window),
    )


def requests(timing: Timing) -> Recording:
    """Requests finished in the window."""
    window = timing.window_seconds
    return Recording(
        name=f"job:mistral_http_requests:increase{promql.duration(window)}",
        expr=promql.increase(REQUESTS, window),
    )


def error_ratio(window_seconds: int) -> Recording:
    """Share of failed requests, 0 to 1; no series while nothing was asked.

    Cancelled and refused requests are the client's doing and count on neither side.
    """
    failed = promql.rate(REQUESTS, window_seconds, where='status="error"')
    answered = promql.rate(REQUESTS, window_seconds, where='status=~"success|error"')
    return Recording(
        name=f"job:mistral_http_requests_error:ratio_rate{promql.duration(window_seconds)}",
        expr=f"{failed}\n/ ({answered} > 0)",
    )


def recordings(timing: Timing) -> tuple[Recording, ...]:
    """Give every recorded series, in the order of evaluation."""
    return (latency_p95(timing), requests(timing), error_ratio(timing.window_seconds))
