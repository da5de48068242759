"""Every panel of the dashboard, compared with what a known load did to a real proxy.

A real Prometheus answers the panels' queries as Grafana would send them, with one endpoint, one
model and one instance chosen.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pytest

from proxy_service.telemetry import metrics
from tests.observability import grafana, queries
from tests.observability.recorded import (
    BEYOND_LAST_SCRAPE,
    ENDPOINT,
    ENGINE_COMPLETED,
    ENGINE_FIRST_TOKENS,
    ENGINE_GAPS,
    INSTANCE,
    INTERVAL,
    NOW,
    RANGE,
    SCRAPE_SECONDS,
    TICKS,
    Recorded,
    cumulative,
    quantile,
    recorded_hour,
)
from tests.observability.traffic import QUEUED_LIMIT, RUNNING_LIMIT, STARTED_AT, TICK
from tests.proxy.scripted_engine import MODEL, USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from tests.observability.promtool import Promtool

# Panels that don't show what their title says once a model or an endpoint is chosen, or once
# generations fail. They return data; what they show isn't compared with the load. To be
# corrected together with the other panels whose numbers mislead, after which this list is empty.
KNOWN_WRONG: Final = {
    "Output tokens per chunk": (
        "The tokens are those of the chosen model at every endpoint, the chunks those of every "
        "model at the chosen endpoint."
    ),
    "Tokens per second of one request": (
        "The tokens include those of failed and cancelled generations, the time doesn't."
    ),
}

AT_ENDPOINT: Final = [sent for sent in TICK if sent.endpoint == ENDPOINT]
OF_MODEL: Final = [sent for sent in TICK if sent.model == MODEL]
COMPLETED: Final = [sent for sent in OF_MODEL if sent.finish_reason == "stop"]
STREAMS: Final = [sent for sent in OF_MODEL if sent.first_token is not None]
GENERATIONS: Final = [sent for sent in TICK if sent.engine_seconds]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, promtool: Promtool) -> Iterator[Recorded]:
    """Yield a Prometheus with an hour of samples."""
    with recorded_hour(tmp_path_factory.mktemp("prometheus"), promtool) as hour:
        yield hour


def percentiles(values: Iterable[float], edges: Sequence[float], *ps: int) -> dict[str, float]:
    observed = list(values)
    return {f"p{p}": quantile(p / 100, observed, edges) for p in ps}


def buckets(
    panel: dict[str, Any], values: Iterable[float], edges: Sequence[float]
) -> dict[str, float]:
    """Return what a heatmap gets: the growth of each bucket in the panel's rate interval."""
    ticks = grafana.rate_interval(panel, RANGE) / INTERVAL
    counts = cumulative(values, edges)
    return {
        ("+Inf" if math.isinf(edge) else str(float(edge))): n * ticks for edge, n in counts.items()
    }


def per_second(counts: Mapping[str, float]) -> dict[str, float]:
    """Return the rates of what one tick counts, without what it never counts."""
    return {name: count / INTERVAL for name, count in counts.items() if count}


def in_range(count: float) -> float:
    """Return what `increase` returns for the whole range, given the growth in a tick."""
    return count * TICKS * BEYOND_LAST_SCRAPE


STATUSES: Final = Counter(sent.status for sent in AT_ENDPOINT)
ERROR_RATIO: Final = STATUSES["error"] / (STATUSES["error"] + STATUSES["success"])
DURATIONS: Final = [sent.seconds for sent in AT_ENDPOINT]
GENERATION_TIMES: Final = [sent.seconds for sent in COMPLETED]
FIRST_TOKENS: Final = [sent.first_token for sent in STREAMS if sent.first_token is not None]
TIMES_PER_TOKEN: Final = [
    (sent.seconds - sent.first_token) / (sent.output_tokens - 1)
    for sent in COMPLETED
    if sent.first_token is not None
]
LOAD_TIMES: Final = [sent.load_seconds for sent in OF_MODEL if sent.load_seconds is not None]
WAITS: Final = [sent.queue_seconds for sent in TICK if sent.queue_seconds is not None]
OUTPUT_TOKENS: Final = sum(sent.output_tokens for sent in OF_MODEL)
CHUNKS: Final = sum(sent.chunks for sent in AT_ENDPOINT)
FIRST_TOKEN_P95: Final = quantile(0.95, FIRST_TOKENS, metrics.FIRST_TOKEN_BUCKETS)

# Requests that need the engine, at every endpoint, including the malformed one.
FOR_ENGINE: Final = [sent for sent in TICK if sent.endpoint in ("chat", "generate")]
OUTSIDE_ENGINE: Final = sum(
    sent.seconds - sent.engine_seconds - (sent.load_seconds or 0) for sent in FOR_ENGINE
)

# Computed from the scrapes or the panel where the load alone doesn't determine the value.
Expected: TypeAlias = "dict[str, float] | Callable[[Recorded, dict[str, Any]], dict[str, float]]"

# What each panel shows, by its title and the names of its series.
EXPECTED: Final[dict[str, Expected]] = {
    # Status and health
    "Proxy": {"Proxy": 1},
    "Engine": {"Engine": 1},
    "Firing alerts": {"Firing": 1},
    "Error budget": {"left": 1 - ERROR_RATIO / 0.01},
    "Active now": {"active": 2},
    "p95 latency": percentiles(DURATIONS, metrics.HTTP_BUCKETS, 95),
    "Tokens/s": {"tokens/s": OUTPUT_TOKENS / INTERVAL},
    "Requests": {"Requests": in_range(len(AT_ENDPOINT))},
    "Alerts": {"MistralHighErrorRate": 2, "MistralHighActiveRequests": 1},
    "Models": {
        "loaded": 1,
        "loads": in_range(len(LOAD_TIMES)),
        "mean load time": sum(LOAD_TIMES) / len(LOAD_TIMES),
    },
    "Since the start": {
        "requests": len(AT_ENDPOINT) * TICKS,
        "errors": STATUSES["error"] * TICKS,
        "tokens": OUTPUT_TOKENS * TICKS,
    },
    "Engine's last reply": lambda recorded, _: {"ago": NOW - STARTED_AT - recorded.probed_at},
    "Uptime": {"Uptime": NOW - STARTED_AT},
    # Request rate and latency
    "Request rate by endpoint": per_second({ENDPOINT: len(AT_ENDPOINT)}),
    "Requests by outcome": per_second(STATUSES),
    "Latency percentiles": {
        **percentiles(DURATIONS, metrics.HTTP_BUCKETS, 50, 95, 99),
        "mean": sum(DURATIONS) / len(DURATIONS),
    },
    "p95 latency by endpoint": {ENDPOINT: quantile(0.95, DURATIONS, metrics.HTTP_BUCKETS)},
    "Latency distribution": lambda _, panel: buckets(panel, DURATIONS, metrics.HTTP_BUCKETS),
    "Requests within 5 s": {
        "within 5 s": sum(seconds <= 5 for seconds in DURATIONS) / len(DURATIONS)
    },
    "Waiting for the engine": {
        "chat": quantile(0.95, [s.engine_seconds for s in GENERATIONS], metrics.HTTP_BUCKETS),
        "load": quantile(0.95, LOAD_TIMES, metrics.HTTP_BUCKETS),
        "models": quantile(0.95, [0.0], metrics.HTTP_BUCKETS),
    },
    "Time outside the engine": {
        "per request": OUTSIDE_ENGINE / len(FOR_ENGINE),
        "of that in the queue": sum(WAITS) / len(FOR_ENGINE),
    },
    # Generation
    "Output tokens per second by model": per_second({MODEL: OUTPUT_TOKENS}),
    "Prompt tokens per second by model": per_second(
        {MODEL: len(COMPLETED) * USAGE["prompt_tokens"]}
    ),
    "Generation time percentiles": percentiles(
        GENERATION_TIMES, metrics.GENERATE_BUCKETS, 50, 95, 99
    ),
    "p95 generation time by model": {
        MODEL: quantile(0.95, GENERATION_TIMES, metrics.GENERATE_BUCKETS)
    },
    "Generation time distribution": lambda _, panel: buckets(
        panel, GENERATION_TIMES, metrics.GENERATE_BUCKETS
    ),
    "How generations end": per_second(Counter(s.finish_reason for s in OF_MODEL)),
    "Response length": lambda _, panel: buckets(
        panel, [s.output_tokens for s in COMPLETED], metrics.TOKEN_BUCKETS
    ),
    "Prompt length": lambda _, panel: buckets(
        panel, [USAGE["prompt_tokens"]] * len(COMPLETED), metrics.TOKEN_BUCKETS
    ),
    # Errors and active requests
    "Error rate": {"errors": ERROR_RATIO},
    "Errors by type": per_second(Counter(s.error_type for s in AT_ENDPOINT if s.error_type)),
    "Active requests": {"active": 2},
    "Slots taken": {"at the engine": 1 / RUNNING_LIMIT, "in the queue": 1 / QUEUED_LIMIT},
    "Refused and cancelled requests": per_second(
        {status: STATUSES[status] for status in ("client_error", "cancelled")}
    ),
    # Streaming
    "Streamed chunks by endpoint": per_second({ENDPOINT: CHUNKS}),
    "How streams end": per_second(Counter(s.outcome for s in AT_ENDPOINT if s.outcome)),
    "Time to first token": percentiles(FIRST_TOKENS, metrics.FIRST_TOKEN_BUCKETS, 50, 95, 99),
    "Time to first token distribution": lambda _, panel: buckets(
        panel, FIRST_TOKENS, metrics.FIRST_TOKEN_BUCKETS
    ),
    "Time per output token": percentiles(TIMES_PER_TOKEN, metrics.OUTPUT_TOKEN_BUCKETS, 50, 95),
    # Model loads
    "Loads by model": {MODEL: len(LOAD_TIMES) * TICKS},
    "Load time by model": {MODEL: quantile(0.95, LOAD_TIMES, metrics.LOAD_BUCKETS)},
    "Load time distribution": lambda _, panel: buckets(panel, LOAD_TIMES, metrics.LOAD_BUCKETS),
    # Engine
    "Sequences in the engine": {"running": 3, "waiting": 1},
    "KV cache in use": {"used": 30 / 40},
    "Sequences completed by reason": per_second(ENGINE_COMPLETED),
    "First token, engine and proxy": {
        "engine p95": quantile(0.95, ENGINE_FIRST_TOKENS, metrics.FIRST_TOKEN_BUCKETS),
        "proxy p95": FIRST_TOKEN_P95,
    },
    "Time between tokens in the engine": percentiles(
        ENGINE_GAPS, metrics.OUTPUT_TOKEN_BUCKETS, 50, 95
    ),
    "Prefix cache hits": {"hits": 3 / 4},
    "Preemptions": per_second({"preempted": 2}),
    # Proxy and scrape
    "Proxy memory": lambda recorded, _: {INSTANCE: recorded.last("process_resident_memory_bytes")},
    "Proxy CPU": lambda recorded, _: {INSTANCE: recorded.rate("process_cpu_seconds_total")},
    "Open files": lambda recorded, _: {
        INSTANCE: recorded.last("process_open_fds") / recorded.last("process_max_fds")
    },
    "Event loop lag": lambda recorded, _: {
        INSTANCE: recorded.last("mistral_event_loop_lag_seconds")
    },
    "Scrape duration": {INSTANCE: SCRAPE_SECONDS},
    "Scraped samples": lambda recorded, _: {INSTANCE: recorded.samples},
}

PANELS: Final = {panel["title"]: panel for panel in queries.panels(queries.dashboard())}


def test_every_panel_is_compared_with_the_load_or_known_to_be_wrong() -> None:
    assert PANELS.keys() == EXPECTED.keys() | KNOWN_WRONG.keys()
    assert not EXPECTED.keys() & KNOWN_WRONG.keys()


@pytest.mark.parametrize("title", EXPECTED)
def test_panel_shows_what_the_load_did(recorded: Recorded, title: str) -> None:
    panel, expected = PANELS[title], EXPECTED[title]
    if callable(expected):
        expected = expected(recorded, panel)
    assert recorded.shown(panel) == pytest.approx(expected)


@pytest.mark.parametrize("title", KNOWN_WRONG)
def test_panel_that_is_known_to_be_wrong_returns_usable_numbers(
    recorded: Recorded, title: str
) -> None:
    shown = recorded.shown(PANELS[title])
    assert shown
    assert all(math.isfinite(value) for value in shown.values())
