"""Alerts on clients that wait, on slow generations and on late first tokens.

Long answers are normal; waiting and slow text are not. So latency is how long a client waits
(``mistral_request_wait_seconds``), not how long a response takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import recordings as recorded
from alerts.guards import unless_any_latency_alert, unless_explained, unless_very_high_latency
from alerts.model import Alert
from alerts.promql import BY_MODEL, increase, p95, rate, require
from monitoring.names import JOB

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds


def very_high_latency(t: Thresholds) -> Alert:
    """Return the alert on waits so long that clients give up."""
    return Alert(
        name="MistralVeryHighLatency",
        severity="critical",
        value=recorded.wait_p95(t).of(JOB),
        comparison=">",
        threshold=t.very_high_latency_seconds,
        guards=(unless_explained(t),),
        for_seconds=t.timing.page_for_seconds,
        summary="Clients wait very long.",
        description=(
            "One request in twenty waits longer than {value} "
            f"(threshold {t.very_high_latency_seconds:g} s). Check the active requests and the "
            "engine's load. Reduce the load or spread it, or restart an engine that is stuck."
        ),
        value_format="humanizeDuration",
    )


def high_latency(t: Thresholds) -> Alert:
    """Return the alert on long waits; it is silent while MistralVeryHighLatency fires."""
    return Alert(
        name="MistralHighLatency",
        severity="warning",
        value=recorded.wait_p95(t).of(JOB),
        comparison=">",
        threshold=t.high_latency_seconds,
        guards=(unless_very_high_latency(t), unless_explained(t)),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Clients wait long.",
        description=(
            "One request in twenty waits longer than {value} "
            f"(threshold {t.high_latency_seconds:g} s): for its first token, for a slot, or for a "
            "reply without one. Long answers don't count. Compare the endpoints and the models, "
            "then look for a queue or for long prompts."
        ),
        value_format="humanizeDuration",
    )


def slow_generation(t: Thresholds) -> Alert:
    """Return the alert on a model that takes long because it writes slowly."""
    histogram, window = "mistral_generate_duration_seconds", t.timing.window_seconds
    finished = increase(f"{histogram}_count", window, by=BY_MODEL)
    tokens = rate("mistral_decode_tokens_total", window, by=BY_MODEL)
    seconds = rate("mistral_decode_seconds_total", window, by=BY_MODEL)
    return Alert(
        name="MistralSlowGeneration",
        severity="warning",
        value=p95(histogram, window, by=BY_MODEL),
        comparison=">",
        threshold=t.slow_generation_seconds,
        guards=(
            require(f"{finished} >= {t.slow_generation_min_requests}", on=BY_MODEL),
            require(f"{tokens} / ({seconds} > 0) < {t.slow_tokens_per_second:g}", on=BY_MODEL),
            unless_explained(t),
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Generations are slow.",
        description=(
            "One generation in twenty of model {model} takes longer than {value} (threshold "
            f"{t.slow_generation_seconds:g} s), and a request gets fewer than "
            f"{t.slow_tokens_per_second:g} tokens per second. The engine needs less load, a "
            "smaller model or faster hardware."
        ),
        value_format="humanizeDuration",
    )


def slow_first_token(t: Thresholds) -> Alert:
    """Return the alert on one model whose streams start late, while other requests are quick.

    If most requests wait, the alerts on latency fire and this one is silent.
    """
    histogram, window = "mistral_time_to_first_token_seconds", t.timing.window_seconds
    started = increase(f"{histogram}_count", window, by=BY_MODEL)
    return Alert(
        name="MistralSlowFirstToken",
        severity="warning",
        value=p95(histogram, window, by=BY_MODEL),
        comparison=">",
        threshold=t.slow_first_token_seconds,
        guards=(
            require(f"{started} >= {t.first_token_min_requests}", on=BY_MODEL),
            unless_any_latency_alert(t),
            unless_explained(t),
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="One model's streams start late.",
        description=(
            "One stream in twenty of model {model} waits longer than {value} for its first token "
            f"(threshold {t.slow_first_token_seconds:g} s), while other requests are quick. Check "
            "whether the model is loaded anew, is too large for the machine, or gets long prompts."
        ),
        value_format="humanizeDuration",
    )
