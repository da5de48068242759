"""Signals of the requests: rate, latency, errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dashboards import queries as q
from dashboards.signals import NUMBER, REQUESTS_PER_SECOND, SECONDS, SHARE, Query, Signal

REQUESTS: Final = "mistral_http_requests_total"
_DURATION: Final = "mistral_http_request_duration_seconds"
WAIT: Final = "mistral_request_wait_seconds"
_UPSTREAM: Final = "mistral_upstream_request_duration_seconds"
FAILED: Final = 'status="error"'
JUDGED: Final = 'status=~"success|error"'
NOT_SCRAPED: Final = "not scraped"


def _share_of_limit(gauge: str) -> str:
    return q.ratio(f"sum({q.select(gauge)})", f"sum({q.select(f'{gauge}_limit')})")


def _percentiles(histogram: str) -> tuple[Query, ...]:
    return (
        *(Query(q.quantile(p / 100, histogram), f"p{p}") for p in (50, 95, 99)),
        Query(q.mean(histogram), "mean"),
    )


REQUESTS_IN_RANGE: Final = Signal(
    title="Requests",
    description=(
        "Requests finished in the time shown. If the proxy restarted in that time, an estimate."
    ),
    unit=NUMBER,
    queries=(Query(q.growth(REQUESTS), "Requests"),),
    whole=True,
)
TOTALS: Final = Signal(
    title="Since the start",
    description=(
        "Exact numbers since the proxy started, whatever time is shown: requests and failed "
        "requests at the chosen endpoints, and output tokens of the chosen models."
    ),
    unit=NUMBER,
    when_empty=NOT_SCRAPED,
    queries=(
        Query(f"sum({q.select(REQUESTS)})", "requests"),
        Query(f"sum({q.select(REQUESTS, FAILED)})", "errors"),
        Query(f"sum({q.select('mistral_generate_tokens_total')})", "tokens"),
    ),
    whole=True,
)
RATE_BY_ENDPOINT: Final = Signal(
    title="Request rate by endpoint",
    description="Finished requests per second, without health checks and scrapes.",
    unit=REQUESTS_PER_SECOND,
    queries=(Query(q.used_rate(REQUESTS, by="endpoint"), "{{endpoint}}"),),
)
RATE_BY_STATUS: Final = Signal(
    title="Requests by outcome",
    description=(
        "success: complete response. client_error: invalid request. error: failure of the proxy "
        "or the engine, even after the first byte. cancelled: the client disconnected."
    ),
    unit=REQUESTS_PER_SECOND,
    queries=(Query(q.used_rate(REQUESTS, by="status"), "{{status}}"),),
)
LATENCY: Final = Signal(
    title="Latency percentiles",
    description=(
        "How long clients wait: to the first content of a stream; for a whole response, without "
        "the time in which the engine generated it. The lines are the thresholds of "
        "MistralHighLatency and MistralVeryHighLatency."
    ),
    unit=SECONDS,
    queries=_percentiles(WAIT),
)
LATENCY_BY_ENDPOINT: Final = Signal(
    title="p95 latency by endpoint",
    description="How long clients wait, as in the latency percentiles, for each endpoint.",
    unit=SECONDS,
    queries=(Query(q.quantile(0.95, WAIT, by="endpoint"), "{{endpoint}}"),),
)
LATENCY_SPREAD: Final = Signal(
    title="Latency distribution",
    description="Number of requests by how long their clients waited.",
    unit=SECONDS,
    queries=(Query(q.buckets(WAIT), "{{le}}"),),
)
REQUEST_DURATION: Final = Signal(
    title="Duration percentiles",
    description=(
        "From the request's head to the last byte of the response, all outcomes. Long responses "
        "take long: the latency panels show how much of it clients wait."
    ),
    unit=SECONDS,
    queries=_percentiles(_DURATION),
)
DURATION_BY_ENDPOINT: Final = Signal(
    title="p95 duration by endpoint",
    description="Endpoints differ: a long response takes time, listing models doesn't.",
    unit=SECONDS,
    queries=(Query(q.quantile(0.95, _DURATION, by="endpoint"), "{{endpoint}}"),),
)
DURATION_SPREAD: Final = Signal(
    title="Duration distribution",
    description="Number of requests by duration. Two bands mean two kinds of requests.",
    unit=SECONDS,
    queries=(Query(q.buckets(_DURATION), "{{le}}"),),
)
WITHIN_5_SECONDS: Final = Signal(
    title="Latency of at most 5 s",
    description="Share of the requests whose clients waited for at most 5 seconds.",
    unit=SHARE,
    queries=(
        Query(
            q.ratio(q.rate(f"{WAIT}_bucket", 'le=~"5|5.0"'), q.rate(f"{WAIT}_count")),
            "within 5 s",
        ),
    ),
)
ENGINE_WAIT: Final = Signal(
    title="Waiting for the engine",
    description=(
        "p95 of the time that the proxy waits for the engine, by operation. For a generation, "
        "that is until its end, without the time while the client reads. models: the list of "
        "models, which is also the probe. For all endpoints and models."
    ),
    unit=SECONDS,
    queries=(Query(q.quantile(0.95, _UPSTREAM, by="operation"), "{{operation}}"),),
)
QUEUE_WAIT: Final = Signal(
    title="Waiting in the queue",
    description=(
        "How long requests waited for a slot. Those that got one at once don't count. For all "
        "endpoints and models."
    ),
    unit=SECONDS,
    when_empty="no request had to wait",
    queries=tuple(
        Query(q.quantile(p / 100, "mistral_queue_wait_seconds"), f"p{p}") for p in (50, 95)
    ),
)
ERROR_RATIO: Final = Signal(
    title="Error rate",
    description="Share of failed requests; cancelled requests and client errors don't count.",
    unit=SHARE,
    queries=(Query(q.ratio(q.rate(REQUESTS, FAILED), q.rate(REQUESTS, JUDGED)), "errors"),),
)
ERRORS_BY_TYPE: Final = Signal(
    title="Errors by type",
    description=(
        "upstream_*, stream_interrupted: the engine, or the connection to it. invalid_request, "
        "unauthorized, model_not_found, not_supported: the client. overloaded: all slots and the "
        "queue were taken. internal: a bug in the proxy."
    ),
    unit=REQUESTS_PER_SECOND,
    queries=(
        Query(q.used_rate("mistral_request_errors_total", by="error_type"), "{{error_type}}"),
    ),
)
CLIENT_TROUBLE: Final = Signal(
    title="Client errors and cancelled requests",
    description=(
        "Requests that clients got wrong, and those whose client disconnected before the end. "
        "Neither counts as a failure."
    ),
    unit=REQUESTS_PER_SECOND,
    queries=(
        Query(q.used_rate(REQUESTS, 'status=~"client_error|cancelled"', by="status"), "{{status}}"),
    ),
)
ACTIVE: Final = Signal(
    title="Active requests",
    description="Requests that haven't finished; a stream counts until its last byte.",
    unit=NUMBER,
    when_empty=NOT_SCRAPED,
    queries=(Query(f"sum({q.select('mistral_active_requests')})", "active"),),
    whole=True,
)
SATURATION: Final = Signal(
    title="Slots and queue in use",
    description=(
        "A slot is the right to have the engine work on a request (maxConcurrentRequests). "
        "Requests that find none free wait in the queue (maxQueuedRequests). 100 %: all are taken. "
        "While both are full, further requests are refused as overloaded."
    ),
    unit=SHARE,
    when_empty=NOT_SCRAPED,
    queries=(
        Query(_share_of_limit("mistral_running_requests"), "slots"),
        Query(_share_of_limit("mistral_queued_requests"), "queue"),
    ),
)
ACTIVE_NOW: Final = replace(ACTIVE, title="Active now")
