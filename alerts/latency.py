"""How long requests, answers and first tokens take."""

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
    """Requests take so long that people give up."""
    return Alert(
        name="MistralVeryHighLatency",
        severity="critical",
        value=recorded.latency_p95(t.timing).of(JOB),
        comparison=">",
        threshold=t.very_high_latency_seconds,
        guards=(_enough_requests(t), *unless_explained(t)),
        for_seconds=t.timing.page_for_seconds,
        summary="Requests take very long.",
        description=(
            "One request in twenty takes longer than {value} "
            f"(limit {t.very_high_latency_seconds:g} s). Look at active requests and at the "
            "engine's load: shed or spread the load, or restart an engine that is stuck."
        ),
        value_format="humanizeDuration",
    )


def high_latency(t: Thresholds) -> Alert:
    """Requests are slow; the milder half of the latency pair."""
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
        summary="Requests take long.",
        description=(
            "One request in twenty takes longer than {value} "
            f"(limit {t.high_latency_seconds:g} s). Compare latency by endpoint with time to "
            "first token and time per token: long answers are normal, waiting is not."
        ),
        value_format="humanizeDuration",
    )


def slow_generation(t: Thresholds) -> Alert:
    """One model's answers take too long to complete."""
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
        summary="Answers take long to generate.",
        description=(
            "One answer in twenty of model {model} takes longer than {value} "
            f"(limit {t.slow_generation_seconds:g} s). Look at tokens per second and answer "
            "length: a slow engine needs less load or other hardware, long answers need a limit."
        ),
        value_format="humanizeDuration",
    )


def slow_first_token(t: Thresholds) -> Alert:
    """Users of one model look at nothing for too long."""
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
        summary="The first token comes late.",
        description=(
            "One stream in twenty of model {model} waits longer than {value} for its first token "
            f"(limit {t.slow_first_token_seconds:g} s). Look at active requests and at prompt "
            "lengths: a queue needs less load or more capacity, long prompts need shortening."
        ),
        value_format="humanizeDuration",
    )


def _enough_requests(t: Thresholds) -> str:
    return enough(recorded.requests(t.timing.window_seconds), t.latency_min_requests)
