"""The recorded series: queries that several alerts share or that are expensive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alerts import promql
from alerts.model import Recording

if TYPE_CHECKING:
    from alerts.model import Group
    from monitoring.thresholds import Timing

REQUESTS: Final = "mistral_http_requests_total"

BUDGET: Final = "mistral-error-budget"

# Cancelled requests and client errors count neither in the error ratio nor in its minimum.
_JUDGED: Final = 'status=~"success|error"'


def latency_p95(timing: Timing) -> Recording:
    """Return the 95th percentile of the request duration, in seconds."""
    window = timing.window_seconds
    return Recording(
        name=f"job:mistral_http_request_duration_seconds:p95_{promql.duration(window)}",
        expr=promql.p95("mistral_http_request_duration_seconds", window),
    )


def requests(window_seconds: int) -> Recording:
    """Return the number of requests that finished in the window, with any outcome."""
    return Recording(
        name=f"job:mistral_http_requests:increase{promql.duration(window_seconds)}",
        expr=promql.increase(REQUESTS, window_seconds),
    )


def judged_requests(window_seconds: int, *, group: Group = "mistral") -> Recording:
    """Return the number of requests in the window that count in the error ratio."""
    return Recording(
        group=group,
        name=f"job:mistral_http_requests_judged:increase{promql.duration(window_seconds)}",
        expr=promql.increase(REQUESTS, window_seconds, where=_JUDGED),
    )


def error_ratio(window_seconds: int, *, group: Group = "mistral") -> Recording:
    """Return the share of failed requests, 0 to 1; no series while there are no requests."""
    failed = promql.rate(REQUESTS, window_seconds, where='status="error"')
    judged = promql.rate(REQUESTS, window_seconds, where=_JUDGED)
    return Recording(
        group=group,
        name=f"job:mistral_http_requests_error:ratio_rate{promql.duration(window_seconds)}",
        expr=f"{failed}\n/ ({judged} > 0)",
    )


def engine_reachable(timing: Timing) -> Recording:
    """Return 1 if the engine answered within the `for` duration of MistralEngineUnreachable."""
    wait = promql.duration(timing.page_for_seconds)
    return Recording(
        name=f"job:mistral_upstream_up:max{wait}",
        expr=f"max by (job) (max_over_time(mistral_upstream_up{{{promql.PROXY}}}[{wait}]))",
    )


def recordings(timing: Timing) -> tuple[Recording, ...]:
    """Return every recorded series, in the order of evaluation."""
    fast, slow_short, slow = (
        timing.fast_burn_seconds,
        timing.slow_burn_short_seconds,
        timing.slow_burn_seconds,
    )
    return (
        latency_p95(timing),
        requests(timing.window_seconds),
        judged_requests(timing.window_seconds),
        error_ratio(timing.window_seconds),
        engine_reachable(timing),
        *(error_ratio(seconds, group=BUDGET) for seconds in (fast, slow_short, slow)),
        *(judged_requests(seconds, group=BUDGET) for seconds in (fast, slow)),
    )
