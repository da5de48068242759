"""Signals of the requests: health, rate, latency, errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dashboards import queries as q
from dashboards.signals import Query, Signal
from monitoring.names import SERVICE

_REQUESTS: Final = "mistral_http_requests_total"
_DURATION: Final = "mistral_http_request_duration_seconds"
_OF_SERVICE: Final = f'service="{SERVICE}"'
_FAILED: Final = 'status="error"'
_JUDGED: Final = 'status=~"success|error"'
_UPSTREAM: Final = "mistral_upstream_request_duration_seconds"

# Requests that need the engine, and the proxy's requests to the engine for them. Listing models
# is left out, because the proxy also does that on its own. The variables for endpoint and model
# don't apply, because the metrics of the engine's operations have no such labels.
_OF_ALL: Final = 'job=~"$job",instance=~"$instance"'
_ENGINES_WORK: Final = (
    f'{_OF_ALL},endpoint=~"chat|generate|pull|embed.*|v1_.*",endpoint!="v1_models"'
)
_ENGINES_REQUESTS: Final = f"sum(rate({_DURATION}_count{{{_ENGINES_WORK}}}[$__rate_interval]))"
_ENGINES_TIME: Final = f'{_OF_ALL},operation!~"models|unload|other"'


def _share_of_limit(gauge: str) -> str:
    return q.ratio(f"sum({q.select(gauge)})", f"sum({q.select(f'{gauge}_limit')})")


PROXY_UP: Final = Signal(
    title="Proxy",
    description="Whether Prometheus can scrape the proxy. Also DOWN if the target is missing.",
    unit="none",
    queries=(Query(f"min({q.select('up')}) or vector(0)", "Proxy"),),
)
ENGINE_UP: Final = Signal(
    title="Engine",
    description="Whether the engine answered the proxy's last probe.",
    unit="none",
    when_empty="unknown",
    queries=(Query(f"min({q.select('mistral_upstream_up')})", "Engine"),),
)
ENGINE_REPLY: Final = Signal(
    title="Engine's last reply",
    description="Time since the engine last answered a probe; the proxy sends one every 5 seconds.",
    unit="s",
    when_empty="never",
    queries=(
        Query(
            f"time() - min({q.select('mistral_upstream_last_success_timestamp_seconds')} > 0)",
            "ago",
        ),
    ),
)
FIRING: Final = Signal(
    title="Firing alerts",
    description="Number of this stack's alerts that are firing in Prometheus now.",
    unit="none",
    queries=(Query(f'count(ALERTS{{alertstate="firing",{_OF_SERVICE}}}) or vector(0)', "Firing"),),
)
ALERTS: Final = Signal(
    title="Alerts",
    description="Alerts over time. Pending: the condition holds, but not yet long enough to fire.",
    unit="none",
    queries=(
        Query(
            f'max by (alertname) (2 * ALERTS{{alertstate="firing",{_OF_SERVICE}}})'
            f' or max by (alertname) (ALERTS{{alertstate="pending",{_OF_SERVICE}}})'
            ' or label_replace(vector(0), "alertname", "no alerts", "", "")'
            f" unless on () ALERTS{{{_OF_SERVICE}}}",
            "{{alertname}}",
        ),
    ),
)
UPTIME: Final = Signal(
    title="Uptime",
    description="Time since the proxy started; yellow in its first ten minutes.",
    unit="s",
    when_empty="not running",
    queries=(Query(f"time() - max({q.select('mistral_start_time_seconds')})", "Uptime"),),
)
REQUESTS_IN_RANGE: Final = Signal(
    title="Requests",
    description="Requests finished in the time shown, as estimated from the scrapes.",
    unit="short",
    queries=(Query(q.growth(_REQUESTS), "Requests"),),
)
TOTALS: Final = Signal(
    title="Since the start",
    description="Exact numbers since the proxy started: requests, failed requests, output tokens.",
    unit="none",
    when_empty="not scraped",
    queries=(
        Query(f"sum({q.select(_REQUESTS)})", "requests"),
        Query(f"sum({q.select(_REQUESTS, _FAILED)})", "errors"),
        Query(f"sum({q.select('mistral_generate_tokens_total')})", "tokens"),
    ),
)
P95_NOW: Final = Signal(
    title="p95 latency",
    description="95 % of the requests finish within this time, from head to last byte.",
    unit="s",
    queries=(Query(q.quantile(0.95, _DURATION), "p95"),),
)
RATE_BY_ENDPOINT: Final = Signal(
    title="Request rate by endpoint",
    description="Finished requests per second, without health checks and scrapes.",
    unit="reqps",
    queries=(Query(q.used_rate(_REQUESTS, by="endpoint"), "{{endpoint}}"),),
)
RATE_BY_STATUS: Final = Signal(
    title="Requests by outcome",
    description=(
        "success: complete response. client_error: invalid request. error: failure of the proxy "
        "or the engine, even after the first byte. cancelled: the client disconnected."
    ),
    unit="reqps",
    queries=(Query(q.used_rate(_REQUESTS, by="status"), "{{status}}"),),
)
LATENCY: Final = Signal(
    title="Latency percentiles",
    description="From the request's head to the last byte of the response, all outcomes.",
    unit="s",
    queries=(
        *(Query(q.quantile(p / 100, _DURATION), f"p{p}") for p in (50, 95, 99)),
        Query(q.mean(_DURATION), "mean"),
    ),
)
LATENCY_BY_ENDPOINT: Final = Signal(
    title="p95 latency by endpoint",
    description="Endpoints differ: a long response takes time, listing models doesn't.",
    unit="s",
    queries=(Query(q.quantile(0.95, _DURATION, by="endpoint"), "{{endpoint}}"),),
)
LATENCY_SPREAD: Final = Signal(
    title="Latency distribution",
    description="Number of requests by duration. Two bands mean two kinds of requests.",
    unit="s",
    queries=(Query(q.buckets(_DURATION), "{{le}}"),),
)
WITHIN_5_SECONDS: Final = Signal(
    title="Requests within 5 s",
    description="Share of the requests that took at most 5 seconds, all outcomes.",
    unit="percentunit",
    queries=(
        Query(
            q.ratio(q.rate(f"{_DURATION}_bucket", 'le=~"5|5.0"'), q.rate(f"{_DURATION}_count")),
            "within 5 s",
        ),
    ),
)
ENGINE_WAIT: Final = Signal(
    title="Waiting for the engine",
    description=(
        "p95 of the time that the proxy waits for the engine, by operation. For a generation, "
        "that is until its end, without the time while the client reads."
    ),
    unit="s",
    queries=(Query(q.quantile(0.95, _UPSTREAM, by="operation"), "{{operation}}"),),
)
OVERHEAD: Final = Signal(
    title="Time outside the engine",
    description=(
        "Mean time per request that isn't spent waiting for the engine: in the queue, in the "
        "proxy, and for clients that send or read slowly. Counts generations, embeddings and "
        "pulls, for all endpoints and models."
    ),
    unit="s",
    queries=(
        Query(
            q.ratio(
                f"(sum(rate({_DURATION}_sum{{{_ENGINES_WORK}}}[$__rate_interval]))"
                f" - sum(rate({_UPSTREAM}_sum{{{_ENGINES_TIME}}}[$__rate_interval])))",
                _ENGINES_REQUESTS,
            ),
            "per request",
        ),
        Query(
            q.ratio(q.rate("mistral_queue_wait_seconds_sum"), _ENGINES_REQUESTS),
            "of that in the queue",
        ),
    ),
)
ERROR_RATIO: Final = Signal(
    title="Error rate",
    description="Share of failed requests; cancelled requests and client errors don't count.",
    unit="percentunit",
    queries=(Query(q.ratio(q.rate(_REQUESTS, _FAILED), q.rate(_REQUESTS, _JUDGED)), "errors"),),
)
ERRORS_BY_TYPE: Final = Signal(
    title="Errors by type",
    description=(
        "upstream_*: the engine, or the connection to it. invalid_request, model_not_found: the "
        "client. internal: a bug in the proxy."
    ),
    unit="reqps",
    when_empty="no errors",
    queries=(
        Query(q.used_rate("mistral_request_errors_total", by="error_type"), "{{error_type}}"),
    ),
)
CLIENT_TROUBLE: Final = Signal(
    title="Refused and cancelled requests",
    description="Requests with client errors, and those whose client disconnected before the end.",
    unit="reqps",
    when_empty="none",
    queries=(
        Query(
            q.used_rate(_REQUESTS, 'status=~"client_error|cancelled"', by="status"), "{{status}}"
        ),
    ),
)
ACTIVE: Final = Signal(
    title="Active requests",
    description="Requests that haven't finished; a stream counts until its last byte.",
    unit="short",
    when_empty="not scraped",
    queries=(Query(f"sum({q.select('mistral_active_requests')})", "active"),),
)
SATURATION: Final = Signal(
    title="Slots taken",
    description=(
        "Requests at the engine and in the queue, as shares of their limits. "
        "While both are 1, further requests are refused."
    ),
    unit="percentunit",
    when_empty="not scraped",
    queries=(
        Query(_share_of_limit("mistral_running_requests"), "at the engine"),
        Query(_share_of_limit("mistral_queued_requests"), "in the queue"),
    ),
)
ACTIVE_NOW: Final = replace(ACTIVE, title="Active now")


def error_budget(objective: float) -> Signal:
    """Return the signal for the error budget that is left, for an objective from 0 to 1."""
    share = q.ratio(q.growth(_REQUESTS, _FAILED), q.growth(_REQUESTS, _JUDGED))
    return Signal(
        title="Error budget",
        description=(
            f"Share of the errors allowed by the objective of {objective * 100:g} % that is left "
            "in the time shown. Below 0: more requests failed than allowed."
        ),
        unit="percentunit",
        queries=(Query(f"1 - {share} / {1 - objective:g}", "left"),),
    )
