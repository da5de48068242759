"""The recorded series: queries that several alerts share or that are expensive.

Those of one proxy are named ``instance:…``, those of all proxies ``job:…``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alerts.model import Recording
from alerts.promql import (
    BY_INSTANCE,
    BY_JOB,
    PROXY,
    duration,
    increase,
    over_time,
    p95,
    quiet_while,
    rate,
    require,
)
from monitoring.names import JOB

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds, Timing

REQUESTS: Final = "mistral_http_requests_total"

BUDGET: Final = "mistral-error-budget"

_WAIT: Final = "mistral_request_wait_seconds"

# Cancelled requests and client errors count neither in the error ratio nor in its minimum.
_JUDGED: Final = 'status=~"success|error"'
_FAILED: Final = 'status="error"'


def wait_p95(t: Thresholds) -> Recording:
    """Return the 95th percentile of the time that a proxy's clients waited, in seconds.

    It is 0 with too few requests in the window.
    """
    window = t.timing.window_seconds
    waited = increase(f"{_WAIT}_count", window, by=BY_INSTANCE)
    return Recording(
        name=f"instance:{_WAIT}:p95_{duration(window)}",
        expr=_with_enough(p95(_WAIT, window, by=BY_INSTANCE), waited, t.latency_min_requests),
    )


def error_ratio(t: Thresholds) -> Recording:
    """Return the share of a proxy's requests that failed, 0 to 1.

    It is 0 with too few failed and successful requests in the window.
    """
    window = t.timing.window_seconds
    judged = increase(REQUESTS, window, by=BY_INSTANCE, where=_JUDGED)
    return Recording(
        name=f"instance:mistral_http_requests_error:ratio_rate{duration(window)}",
        expr=_with_enough(_ratio(window, by=BY_INSTANCE), judged, t.error_min_requests),
    )


def engine_reachable(timing: Timing) -> Recording:
    """Return for each proxy 1 if its engine answered in the `for` of MistralEngineUnreachable."""
    wait = timing.page_for_seconds
    reached = over_time("max", f"mistral_upstream_up{{{PROXY}}}", wait)
    return Recording(
        name=f"instance:mistral_upstream_up:max{duration(wait)}",
        expr=f"max by ({BY_INSTANCE}) ({reached})",
    )


def scraped(timing: Timing) -> str:
    """Return the query that is 1 for each proxy that was scraped in the `for` of MistralDown."""
    return over_time("max", f"up{{{PROXY}}}", timing.down_for_seconds)


def unexplained(timing: Timing) -> Recording:
    """Return 1 for each proxy whose symptoms count, since its own state doesn't explain them.

    A proxy that can't be scraped explains them: MistralDown fires, or it is no longer a target. An
    engine that didn't answer for the `for` of MistralEngineUnreachable explains them as long as
    their window contains that time, even if that alert doesn't fire because the engine is
    starting for the first time.
    """
    window = timing.window_seconds
    reachable = over_time("min", engine_reachable(timing).of(JOB), window)
    return Recording(
        name=f"instance:up:unexplained{duration(window)}",
        expr=f"max by ({BY_INSTANCE}) ({scraped(timing)}) == 1\n"
        + quiet_while(f"{reachable} == 0", on=BY_INSTANCE),
    )


def unexplained_ratio(timing: Timing) -> Recording:
    """Return the share of all proxies' requests that fail, without explained failures."""
    window = timing.window_seconds
    counts = require(unexplained(timing).of(JOB), on=BY_INSTANCE)
    failed, judged = (
        f"sum by ({BY_JOB}) ({rate(REQUESTS, window, by=BY_INSTANCE, where=where)} {counts})"
        for where in (_FAILED, _JUDGED)
    )
    return Recording(
        name=f"job:mistral_http_requests_unexplained_error:ratio_rate{duration(window)}",
        expr=f"{failed}\n/ ({judged} > 0)",
    )


def unexplained_failed(timing: Timing) -> Recording:
    """Return a proxy's failed requests per second some time ago, for sums over long windows.

    There is no series for times at which its engine was unreachable. That is known only after the
    `for` of MistralEngineUnreachable, so the rate is that much older.
    """
    return _unexplained_earlier(timing, "failed", _FAILED)


def unexplained_judged(timing: Timing) -> Recording:
    """Return a proxy's failed and successful requests per second, for the same times."""
    return _unexplained_earlier(timing, "judged", _JUDGED)


def _unexplained_earlier(timing: Timing, kind: str, where: str) -> Recording:
    window, wait = timing.window_seconds, timing.page_for_seconds
    earlier = rate(REQUESTS, window, by=BY_INSTANCE, where=where, offset_seconds=wait)
    reachable = over_time("min", engine_reachable(timing).of(JOB), window + wait)
    return Recording(
        name=f"instance:mistral_http_requests_unexplained_{kind}:rate{duration(window)}"
        f"_offset{duration(wait)}",
        expr=f"{earlier}\n{quiet_while(f'{reachable} == 0', on=BY_INSTANCE)}",
    )


def budget_ratio(window_seconds: int) -> Recording:
    """Return the share of all proxies' requests that failed; no series without requests."""
    return Recording(
        group=BUDGET,
        name=f"job:mistral_http_requests_error:ratio_rate{duration(window_seconds)}",
        expr=_ratio(window_seconds, by=BY_JOB),
    )


def budget_requests(window_seconds: int) -> Recording:
    """Return the number of all proxies' requests that count in `budget_ratio`."""
    return Recording(
        group=BUDGET,
        name=f"job:mistral_http_requests_judged:increase{duration(window_seconds)}",
        expr=increase(REQUESTS, window_seconds, by=BY_JOB, where=_JUDGED),
    )


def _with_enough(value: str, requests: str, minimum: int) -> str:
    """Return the query for a value that is 0 with fewer requests than ``minimum``.

    A series without gaps shows in a guard whether the value was high all the time.
    """
    return f"{value}\n{require(f'{requests} >= {minimum}', on=BY_INSTANCE)}\nor {requests} * 0"


def _ratio(window_seconds: int, *, by: str) -> str:
    failed = rate(REQUESTS, window_seconds, by=by, where=_FAILED)
    judged = rate(REQUESTS, window_seconds, by=by, where=_JUDGED)
    return f"{failed}\n/ ({judged} > 0)"


def recordings(t: Thresholds) -> tuple[Recording, ...]:
    """Return every recorded series, in the order of evaluation: none uses a later one."""
    timing = t.timing
    long_windows = timing.fast_burn_seconds, timing.slow_burn_seconds
    return (
        wait_p95(t),
        error_ratio(t),
        engine_reachable(timing),
        unexplained(timing),
        unexplained_ratio(timing),
        unexplained_failed(timing),
        unexplained_judged(timing),
        *(budget_ratio(seconds) for seconds in long_windows),
        *(budget_requests(seconds) for seconds in long_windows),
    )
