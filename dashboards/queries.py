"""Builds the dashboard's PromQL, so that every panel filters by the same variables.

Rates use ``$__rate_interval``, which Grafana makes at least four scrapes long at every zoom.
"""

from __future__ import annotations

from typing import Final

# The label that a metric is filtered by, besides job and instance.
FILTERS: Final = {
    "mistral_http_requests_total": "endpoint",
    "mistral_http_request_duration_seconds": "endpoint",
    "mistral_request_wait_seconds": "endpoint",
    "mistral_streaming_chunks_total": "endpoint",
    "mistral_streams_total": "endpoint",
    "mistral_request_errors_total": "endpoint",
    "mistral_generate_duration_seconds": "model",
    "mistral_generate_tokens_total": "model",
    "mistral_decode_tokens_total": "model",
    "mistral_decode_seconds_total": "model",
    "mistral_prompt_tokens_total": "model",
    "mistral_generations_total": "model",
    "mistral_time_to_first_token_seconds": "model",
    "mistral_time_per_output_token_seconds": "model",
    "mistral_request_prompt_tokens": "model",
    "mistral_request_output_tokens": "model",
    "mistral_model_load_duration_seconds": "model",
    "mistral_model_loaded": "model",
}

_HISTOGRAM_SUFFIXES: Final = ("_bucket", "_sum", "_count")


def select(metric: str, *where: str) -> str:
    """Return the selector of a metric of the proxy, with every variable that applies to it."""
    filters = ["job", "instance"]
    if extra := FILTERS.get(_family(metric)):
        filters.append(extra)
    matchers = [f'{label}=~"${label}"' for label in filters]
    return f"{metric}{{{','.join([*matchers, *where])}}}"


def rate(metric: str, *where: str, by: str = "") -> str:
    """Return the query for a counter's growth per second."""
    return f"{_sum(by)} (rate({select(metric, *where)}[$__rate_interval]))"


def used_rate(metric: str, *where: str, by: str) -> str:
    """Return the query for a counter's growth per second by a label, where it grew at all.

    The proxy creates every series at 0, so that the first event shows in a rate. Series that stay
    at 0 in the time shown would only fill the legend.
    """
    return f"{rate(metric, *where, by=by)} and {growth(metric, *where, by=by)} > 0"


def used_total(metric: str, *where: str, by: str) -> str:
    """Return the query for a counter by a label, where it grew in the time shown."""
    return f"{_sum(by)} ({select(metric, *where)}) and {growth(metric, *where, by=by)} > 0"


def growth(metric: str, *where: str, by: str = "") -> str:
    """Return the query for a counter's growth in the time shown."""
    return f"{_sum(by)} (increase({select(metric, *where)}[$__range]))"


def quantile(q: float, histogram: str, *, by: str = "") -> str:
    """Return the query for a quantile; without observations it has no series, rather than NaN."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q:g}, {rate(f'{histogram}_bucket', by=labels)}) >= 0"


def mean(histogram: str, *, by: str = "") -> str:
    """Return the query for the mean of a histogram's observations."""
    return ratio(rate(f"{histogram}_sum", by=by), rate(f"{histogram}_count", by=by))


def ratio(part: str, whole: str) -> str:
    """Return a division that has no series where ``whole`` is 0."""
    return f"{part} / ({whole} > 0)"


def buckets(histogram: str) -> str:
    """Return the query for each bucket's growth, for a heatmap."""
    return f"sum by (le) (increase({select(f'{histogram}_bucket')}[$__rate_interval]))"


def _family(metric: str) -> str:
    for suffix in _HISTOGRAM_SUFFIXES:
        if metric.removesuffix(suffix) in FILTERS:
            return metric.removesuffix(suffix)
    return metric


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"
