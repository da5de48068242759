"""Signals of the health: what the tiles at the top and the alerts' timeline show.

A tile must not look healthy when nothing is known: before Prometheus ran, while the proxy isn't
scraped, or while requests fail too fast to be slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dashboards import queries as q
from dashboards.signals import (
    DOWN,
    FAILING,
    NO_NUMBER,
    NUMBER,
    SECONDS,
    SHARE,
    TOKENS_PER_SECOND,
    Query,
    Signal,
)
from dashboards.traffic import FAILED, JUDGED, NOT_SCRAPED, REQUESTS, WAIT
from monitoring.names import ENGINE_JOB, RECORDED_NAMES, SERVICE

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds

# Requests that need the engine. Programs ask for the list of models every few seconds, and would
# hide that everything else fails.
_ENGINES_WORK: Final = 'endpoint=~"chat|generate|pull|embed.*|v1_.*",endpoint!="v1_models"'
# Errors that are the engine's fault, or that of the connection to it.
_ENGINES_FAULTS: Final = 'error_type=~"upstream_.*|stream_interrupted"'
# Most requests fail: more than half of them.
_MOST: Final = 0.5

_OF_SERVICE: Final = f'service="{SERVICE}"'
_ANY_UP: Final = f"max({q.unfiltered('up')}) == 1"
_ENGINE_UP: Final = f"min({q.unfiltered('mistral_upstream_up')})"
_SUCCESS: Final = q.unfiltered("mistral_upstream_last_success_timestamp_seconds")
_ENGINE_START: Final = f'process_start_time_seconds{{job="{ENGINE_JOB}"}}'
# 1 while Prometheus evaluates our rules; otherwise there is no series.
_RULES: Final = f'group({{__name__=~"{RECORDED_NAMES}"}})'


def _failing(t: Thresholds, failures: str) -> str:
    """Return a query that has a series while most requests that need the engine fail.

    With fewer requests than MistralHighErrorRate asks for, nothing is said about them.
    """
    window = f"{t.timing.window_seconds}s"
    judged = q.unfiltered(REQUESTS, JUDGED, _ENGINES_WORK)
    share = q.ratio(q.rate_of(failures, window=window), q.rate_of(judged, window=window))
    enough = f"sum (increase({judged}[{window}])) >= {t.error_min_requests}"
    return f"{share} > {_MOST:g} and {enough}"


def _failing_requests(t: Thresholds) -> str:
    return _failing(t, q.unfiltered(REQUESTS, FAILED, _ENGINES_WORK))


def proxy_state(t: Thresholds) -> Signal:
    """Return the signal for whether the proxy runs, and whether requests succeed."""
    up = f"min({q.unfiltered('up')})"
    return Signal(
        title="Proxy",
        description=(
            "DOWN: Prometheus can't scrape the proxy, or the proxy isn't among its targets. "
            f"FAILING: more than half of the last {t.timing.window_seconds // 60} minutes' "
            "requests that need the engine failed, for whatever reason."
        ),
        unit=NUMBER,
        when_empty="unknown",
        queries=(
            Query(
                f"{up} == {DOWN:g} or {FAILING:g} * group({_failing_requests(t)}) or {up}"
                # A Prometheus that scrapes something, but not the proxy.
                f" or {DOWN:g} * group(up)",
                "Proxy",
            ),
        ),
    )


def engine_state(t: Thresholds) -> Signal:
    """Return the signal for whether the engine answers, and whether its replies are good."""
    failing = _failing(
        t, q.unfiltered("mistral_request_errors_total", _ENGINES_FAULTS, _ENGINES_WORK)
    )
    return Signal(
        title="Engine",
        description=(
            "DOWN: the engine didn't answer the proxy's last probe. FAILING: it answers, but more "
            f"than half of the last {t.timing.window_seconds // 60} minutes' requests that need it "
            "failed because of it."
        ),
        unit=NUMBER,
        when_empty="unknown",
        queries=(
            Query(
                f"{_ENGINE_UP} == {DOWN:g} or {FAILING:g} * group({failing}) or {_ENGINE_UP}",
                "Engine",
            ),
        ),
    )


ENGINE_REPLY: Final = Signal(
    title="Engine's last reply",
    description=(
        "How old the engine's last reply to a probe was when the proxy was scraped. The proxy "
        "sends a probe every 5 seconds. Of several proxies, the oldest."
    ),
    unit=SECONDS,
    when_empty="unknown",
    queries=(
        Query(
            f"{NO_NUMBER:g} * group({_SUCCESS} == 0) or max(timestamp({_SUCCESS}) - {_SUCCESS})",
            "ago",
        ),
    ),
    whole=True,
)
ENGINE_RESTARTS: Final = Signal(
    title="Engine's restarts",
    description=(
        "In the time shown. restarts: new processes, where the engine reports when its process "
        "started. lost: how often probes that had succeeded began to fail; shorter breaks than the "
        "time between two scrapes don't count."
    ),
    unit=NUMBER,
    when_empty=NOT_SCRAPED,
    queries=(
        Query(f"sum(changes({_ENGINE_START}[$__range]))", "restarts"),
        Query(f"sum(resets({q.unfiltered('mistral_upstream_up')}[$__range]))", "lost"),
    ),
    whole=True,
)
FIRING: Final = Signal(
    title="Firing alerts",
    description="Number of this stack's alerts that are firing in Prometheus now.",
    unit=NUMBER,
    when_empty="no rules here",
    queries=(
        Query(
            f'count(ALERTS{{alertstate="firing",{_OF_SERVICE}}})'
            f" or 0 * group(ALERTS{{{_OF_SERVICE}}}) or 0 * {_RULES}",
            "Firing",
        ),
    ),
    whole=True,
)
ALERTS: Final = Signal(
    title="Alerts",
    description=(
        "Alerts over time. Pending: the condition holds, but not yet long enough to fire. Empty: "
        "Prometheus didn't run, or didn't evaluate this stack's rules."
    ),
    unit=NUMBER,
    when_empty="no rules evaluated",
    queries=(
        Query(
            f'max by (alertname) (2 * ALERTS{{alertstate="firing",{_OF_SERVICE}}})'
            f' or max by (alertname) (ALERTS{{alertstate="pending",{_OF_SERVICE}}})'
            f' or label_replace(0 * {_RULES}, "alertname", "no alerts", "", "")'
            f" unless on () ALERTS{{{_OF_SERVICE}}}",
            "{{alertname}}",
        ),
    ),
)
UPTIME: Final = Signal(
    title="Uptime",
    description=(
        "Time since the proxy started, of several the one that started last; yellow in its first "
        "ten minutes."
    ),
    unit="dthms",
    when_empty=NOT_SCRAPED,
    queries=(Query(f"time() - max({q.select('mistral_start_time_seconds')})", "Uptime"),),
)


def latency_now(t: Thresholds) -> Signal:
    """Return the signal for how long clients wait now, which the alerts on latency look at."""
    p95 = q.quantile_of(0.95, q.select(f"{WAIT}_bucket"), window=f"{t.timing.window_seconds}s")
    return Signal(
        title="p95 latency",
        description=(
            "95 % of the requests of the last "
            f"{t.timing.window_seconds // 60} minutes waited at most this long. failing: most "
            "requests fail, or the engine doesn't answer; how fast they do so says nothing."
        ),
        unit=SECONDS,
        queries=(
            Query(
                f"({NO_NUMBER:g} * group({_ENGINE_UP} == {DOWN:g} or {_failing_requests(t)})"
                f" or {p95}) and on () {_ANY_UP}",
                "p95",
            ),
        ),
    )


def tokens_now(t: Thresholds) -> Signal:
    """Return the signal for the output of all models together."""
    window = f"{t.timing.window_seconds}s"
    output = q.rate_of(q.select("mistral_generate_tokens_total"), window=window)
    return Signal(
        title="Tokens/s",
        description=(
            "Output tokens per second of the chosen models together, in the last "
            f"{t.timing.window_seconds // 60} minutes."
        ),
        unit=TOKENS_PER_SECOND,
        queries=(Query(f"{output} and on () {_ANY_UP}", "tokens/s"),),
    )


def error_budget(t: Thresholds) -> Signal:
    """Return the signal for the error budget that is left."""
    objective = t.availability_objective
    judged = q.growth(REQUESTS, JUDGED)
    share = q.ratio(q.growth(REQUESTS, FAILED), judged)
    return Signal(
        title="Error budget left",
        description=(
            f"The objective of {objective * 100:g} % lets {(1 - objective) * 100:g} % of the "
            "requests in the time shown fail. This share of that is left; 0: at least as many "
            f"failed. Empty with fewer than {t.budget_min_requests} requests."
        ),
        unit=SHARE,
        when_empty="few requests",
        queries=(
            Query(
                f"clamp_min(1 - {share} / {1 - objective:g}, 0)"
                f" and {judged} >= {t.budget_min_requests}",
                "left",
            ),
        ),
    )
