"""Builds the PromQL of the dashboard, so that every panel filters by the same variables.

Rates use ``$__rate_interval``: Grafana makes it at least four scrapes long, whatever the zoom.
"""

from __future__ import annotations

from typing import Final

#: The label, beside job and instance, that a metric can be filtered by.
FILTERS: Final = {
    "mistral_http_requests_total": "endpoint",
    "mistral_http_request_duration_seconds": "endpoint",
    "mistral_streaming_chunks_total": "endpoint",
    "mistral_streams_total": "endpoint",
    "mistral_request_errors_total": "endpoint",
    "mistral_generate_duration_seconds": "model",
    "mistral_generate_tokens_total": "model",
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
    """Give the selector of a metric of the proxy, filtered by every variable that applies."""
    filters = ["job", "instance"]
    if extra := FILTERS.get(_family(metric)):
        filters.append(extra)
    matchers = [f'{label}=~"${label}"' for label in filters]
    return f"{metric}{{{','.join([*matchers, *where])}}}"


def rate(metric: str, *where: str, by: str = "") -> str:
    """Sum what a counter grows per second."""
    return f"{_sum(by)} (rate({select(metric, *where)}[$__rate_interval]))"


def used_rate(metric: str, *where: str, by: str) -> str:
    """Sum what a counter grows per second, by a label, for values that occur in the time shown.

    Every value of a label exists from the start, so that its first event shows; most of them stay
    at 0 and would only crowd the legend.
    """
    return f"{rate(metric, *where, by=by)} and {growth(metric, *where, by=by)} > 0"


def used_total(metric: str, *where: str, by: str) -> str:
    """Give a counter itself, by a label, for values that occur in the time shown."""
    return f"{_sum(by)} ({select(metric, *where)}) and {growth(metric, *where, by=by)} > 0"


def growth(metric: str, *where: str, by: str = "") -> str:
    """Sum what a counter grew over the whole time that the dashboard shows."""
    return f"{_sum(by)} (increase({select(metric, *where)}[$__range]))"


def quantile(q: float, histogram: str, *, by: str = "") -> str:
    """Estimate a quantile; no series, rather than NaN, while nothing was observed."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q:g}, {rate(f'{histogram}_bucket', by=labels)}) >= 0"


def mean(histogram: str, *, by: str = "") -> str:
    """Average what a histogram observed."""
    return ratio(rate(f"{histogram}_sum", by=by), rate(f"{histogram}_count", by=by))


def ratio(part: str, whole: str) -> str:
    """Divide; no series where the whole is 0."""
    return f"{part} / ({whole} > 0)"


def buckets(histogram: str) -> str:
    """Give the growth of each bucket, for a heatmap."""
    return f"sum by (le) (increase({select(f'{histogram}_bucket')}[$__rate_interval]))"


def _family(metric: str) -> str:
    for suffix in _HISTOGRAM_SUFFIXES:
        if metric.removesuffix(suffix) in FILTERS:
            return metric.removesuffix(suffix)
    return metric


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"
