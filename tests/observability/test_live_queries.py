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
    ENDPOINT,
    ENGINE,
    ENGINE_COMPLETED,
    ENGINE_CORES,
    ENGINE_FIRST_TOKENS,
    ENGINE_GAPS,
    ENGINE_MEMORY,
    INSTANCE,
    INTERVAL,
    LAST_SCRAPE,
    NOW,
    RANGE,
    SCRAPE_SECONDS,
    TICKS,
    Scrapes,
    cumulative,
    quantile,
    record_scrapes,
    recorded_hour,
)
from tests.observability.traffic import QUEUED_LIMIT, RUNNING_LIMIT, TICK
from tests.proxy.running import STARTED_AT
from tests.proxy.scripted_engine import MODEL, USAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.observability.grafana import Screen
    from tests.observability.promtool import Promtool

AT_ENDPOINT: Final = [sent for sent in TICK if sent.endpoint == ENDPOINT]
OF_MODEL: Final = [sent for sent in TICK if sent.model == MODEL]
COMPLETED: Final = [sent for sent in OF_MODEL if sent.finish_reason == "stop"]
STREAMS: Final = [sent for sent in OF_MODEL if sent.first_token is not None]
GENERATIONS: Final = [sent for sent in TICK if sent.engine_seconds]


@pytest.fixture(scope="module")
def scrapes() -> Scrapes:
    return record_scrapes()


@pytest.fixture(scope="module")
def screen(
    tmp_path_factory: pytest.TempPathFactory, promtool: Promtool, scrapes: Scrapes
) -> Iterator[Screen]:
    """Yield the dashboard over a Prometheus with an hour of samples."""
    with recorded_hour(tmp_path_factory.mktemp("prometheus"), promtool, scrapes) as screen:
        yield screen


def percentiles(values: Iterable[float], edges: Sequence[float], *ps: int) -> dict[str, float]:
    observed = list(values)
    return {f"p{p}": quantile(p / 100, observed, edges) for p in ps}


def with_mean(values: Sequence[float], edges: Sequence[float]) -> dict[str, float]:
    return {**percentiles(values, edges, 50, 95, 99), "mean": sum(values) / len(values)}


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
LATENCIES: Final = [sent.wait_seconds for sent in AT_ENDPOINT]
QUEUED: Final = [sent.queue_seconds for sent in TICK if sent.queue_seconds is not None]
OUTPUT_TOKENS: Final = sum(sent.output_tokens for sent in OF_MODEL)
CHUNKS: Final = sum(sent.chunks for sent in AT_ENDPOINT)
FIRST_TOKEN_P95: Final = quantile(0.95, FIRST_TOKENS, metrics.FIRST_TOKEN_BUCKETS)

# Computed from the scrapes or the panel where the load alone doesn't determine the value.
Expected: TypeAlias = "dict[str, float] | Callable[[Scrapes, dict[str, Any]], dict[str, float]]"

# What each panel shows, by its title and the names of its series.
EXPECTED: Final[dict[str, Expected]] = {
    # Status and health
    "Proxy": {"Proxy": 1},
    "Engine": {"Engine": 1},
    "Firing alerts": {"Firing": 1},
    "Error budget left": {"left": 0},
    "Active now": {"active": 2},
    "p95 latency": percentiles(LATENCIES, metrics.HTTP_BUCKETS, 95),
    "Tokens/s": {"tokens/s": OUTPUT_TOKENS / INTERVAL},
    "Requests": {"Requests": len(AT_ENDPOINT) * TICKS},
    "Alerts": {"MistralHighErrorRate": 2, "MistralHighActiveRequests": 1},
    "Models": {
        "loaded": 1,
        "on demand": len(LOAD_TIMES) * TICKS,
        "load time": sum(LOAD_TIMES) / len(LOAD_TIMES),
    },
    "Since the start": {
        "requests": len(AT_ENDPOINT) * TICKS,
        "errors": STATUSES["error"] * TICKS,
        "tokens": OUTPUT_TOKENS * TICKS,
    },
    "Engine's last reply": lambda scrapes, _: {"ago": LAST_SCRAPE - STARTED_AT - scrapes.probed_at},
    "Engine's restarts": {"restarts": 1, "lost": 0},
    "Uptime": {"Uptime": NOW - STARTED_AT},
    # Request rate and latency
    "Request rate by endpoint": per_second({ENDPOINT: len(AT_ENDPOINT)}),
    "Requests by outcome": per_second(STATUSES),
    "Latency percentiles": with_mean(LATENCIES, metrics.HTTP_BUCKETS),
    "p95 latency by endpoint": {ENDPOINT: quantile(0.95, LATENCIES, metrics.HTTP_BUCKETS)},
    "Latency distribution": lambda _, panel: buckets(panel, LATENCIES, metrics.HTTP_BUCKETS),
    "Duration percentiles": with_mean(DURATIONS, metrics.HTTP_BUCKETS),
    "p95 duration by endpoint": {ENDPOINT: quantile(0.95, DURATIONS, metrics.HTTP_BUCKETS)},
    "Duration distribution": lambda _, panel: buckets(panel, DURATIONS, metrics.HTTP_BUCKETS),
    "Latency of at most 5 s": {
        "within 5 s": sum(seconds <= 5 for seconds in LATENCIES) / len(LATENCIES)
    },
    "Waiting for the engine": {
        "chat": quantile(0.95, [s.engine_seconds for s in GENERATIONS], metrics.HTTP_BUCKETS),
        "load": quantile(0.95, LOAD_TIMES, metrics.HTTP_BUCKETS),
        "models": quantile(0.95, [0.0], metrics.HTTP_BUCKETS),
    },
    "Waiting in the queue": percentiles(QUEUED, metrics.QUEUE_BUCKETS, 50, 95),
    # Generation
    "Output tokens per second by model": per_second({MODEL: OUTPUT_TOKENS}),
    "Prompt tokens per second by model": per_second(
        {MODEL: len(COMPLETED) * USAGE["prompt_tokens"]}
    ),
    "Tokens per second of one request": {
        MODEL: sum(s.decode_tokens for s in OF_MODEL) / sum(s.decode_seconds for s in OF_MODEL)
    },
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
    "Slots and queue in use": {"slots": 1 / RUNNING_LIMIT, "queue": 1 / QUEUED_LIMIT},
    "Client errors and cancelled requests": per_second(
        {status: STATUSES[status] for status in ("client_error", "cancelled")}
    ),
    # Streaming
    "Streamed chunks by endpoint": per_second({ENDPOINT: CHUNKS}),
    "Output tokens per chunk": {
        "tokens per chunk": sum(s.output_tokens for s in TICK) / sum(s.chunks for s in TICK)
    },
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
    "Engine CPU": {ENGINE: ENGINE_CORES},
    "Engine memory": {ENGINE: ENGINE_MEMORY},
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
    "Proxy memory": lambda scrapes, _: {INSTANCE: scrapes.last("process_resident_memory_bytes")},
    "Proxy CPU": lambda scrapes, _: {INSTANCE: scrapes.rate("process_cpu_seconds_total")},
    "Open files": lambda scrapes, _: {
        INSTANCE: scrapes.last("process_open_fds") / scrapes.last("process_max_fds")
    },
    "Event loop lag": lambda scrapes, _: {INSTANCE: scrapes.last("mistral_event_loop_lag_seconds")},
    "Scrape duration": {INSTANCE: SCRAPE_SECONDS},
    "Scraped samples": lambda scrapes, _: {INSTANCE: scrapes.samples},
}

PANELS: Final = queries.by_title()


def test_every_panel_is_compared_with_the_load() -> None:
    assert PANELS.keys() == EXPECTED.keys()


@pytest.mark.parametrize("title", EXPECTED)
def test_panel_shows_what_the_load_did(screen: Screen, scrapes: Scrapes, title: str) -> None:
    panel, expected = PANELS[title], EXPECTED[title]
    if callable(expected):
        expected = expected(scrapes, panel)
    assert screen.shown(panel) == pytest.approx(expected)


@pytest.mark.parametrize("interval", [30, 60])
def test_every_panel_has_data_at_slower_scrapes(
    tmp_path: Path, promtool: Promtool, scrapes: Scrapes, interval: int
) -> None:
    with recorded_hour(tmp_path, promtool, scrapes, interval=interval) as screen:
        assert [title for title, panel in PANELS.items() if not screen.shown(panel)] == []
