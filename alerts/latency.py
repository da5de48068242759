"""Alerts on slow requests, slow generations and late first tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import recordings as recorded
from alerts.guards import enough, unless_explained, unless_very_high_latency
from alerts.model import Alert
from alerts.promql import increase, p95, require
from monitoring.names import JOB

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds


def very_high_latency(t: Thresholds) -> Alert:
    """Return the alert on requests so slow that clients give up."""
    return Alert(
        name="MistralVeryHighLatency",
        severity="critical",
        value=recorded.latency_p95(t.timing).of(JOB),
        comparison=">",
        threshold=t.very_high_latency_seconds,
        guards=(_enough_requests(t), *unless_explained(t)),
        for_seconds=t.timing.page_for_seconds,
        summary="Requests are very slow.",
        description=(
            "One request in twenty takes longer than {value} "
            f"(threshold {t.very_high_latency_seconds:g} s). Check the active requests and the "
            "engine's load. Reduce the load or spread it, or restart an engine that is stuck."
        ),
        value_format="humanizeDuration",
    )


def high_latency(t: Thresholds) -> Alert:
    """Return the alert on slow requests; it is silent while very high latency fires."""
    return Alert(
        name="MistralHighLatency",
        severity="warning",
        value=recorded.latency_p95(t.timing).of(JOB),
        comparison=">",
        threshold=t.high_latency_seconds,
        guards=(
            _enough_requests(t),
            unless_very_high_latency(t),
            *unless_explained(t),
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Requests are slow.",
        description=(
            "One request in twenty takes longer than {value} "
            f"(threshold {t.high_latency_seconds:g} s). Compare the latency by endpoint with the "
            "time to first token and the time per token: long responses are normal, waiting isn't."
        ),
        value_format="humanizeDuration",
    )


def slow_generation(t: Thresholds) -> Alert:
    """Return the alert on a model whose generations take long."""
    histogram, window = "mistral_generate_duration_seconds", t.timing.window_seconds
    finished = increase(f"{histogram}_count", window, by="job, model")
    return Alert(
        name="MistralSlowGeneration",
        severity="warning",
        value=p95(histogram, window, by="job, model"),
        comparison=">",
        threshold=t.slow_generation_seconds,
        guards=(
            require(f"{finished} >= {t.slow_generation_min_requests}", on="job, model"),
            *unless_explained(t),
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Generations are slow.",
        description=(
            "One generation in twenty of model {model} takes longer than {value} "
            f"(threshold {t.slow_generation_seconds:g} s). Check the tokens per second and the "
            "response length. A slow engine needs less load or faster hardware; long responses "
            "need a threshold."
        ),
        value_format="humanizeDuration",
    )


def slow_first_token(t: Thresholds) -> Alert:
    """Return the alert on a model whose streams start late."""
    histogram, window = "mistral_time_to_first_token_seconds", t.timing.window_seconds
    started = increase(f"{histogram}_count", window, by="job, model")
    return Alert(
        name="MistralSlowFirstToken",
        severity="warning",
        value=p95(histogram, window, by="job, model"),
        comparison=">",
        threshold=t.slow_first_token_seconds,
        guards=(
            require(f"{started} >= {t.first_token_min_requests}", on="job, model"),
            unless_very_high_latency(t),
            *unless_explained(t),
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Streams start late.",
        description=(
            "One stream in twenty of model {model} waits longer than {value} for its first token "
            f"(threshold {t.slow_first_token_seconds:g} s). Check the active requests and the "
            "prompt lengths. A queue needs less load or more capacity; long prompts must be "
            "shortened."
        ),
        value_format="humanizeDuration",
    )


def _enough_requests(t: Thresholds) -> str:
    return enough(recorded.requests(t.timing.window_seconds), t.latency_min_requests)
