"""Signals of the model's work: how fast text comes, how much of it, how it ends."""

from __future__ import annotations

from typing import Final

from dashboards import queries as q
from dashboards.signals import Query, Signal

_DURATION: Final = "mistral_generate_duration_seconds"
_OUTPUT: Final = "mistral_generate_tokens_total"
_FIRST: Final = "mistral_time_to_first_token_seconds"
_PER_TOKEN: Final = "mistral_time_per_output_token_seconds"  # noqa: S105 - a metric's name
_LOAD: Final = "mistral_model_load_duration_seconds"
_TOKENS_PER_SECOND: Final = "suffix: tok/s"
_CHUNKS: Final = "mistral_streaming_chunks_total"
_NO_LOADS: Final = "no loads"

TOKENS_NOW: Final = Signal(
    title="Tokens/s",
    description="Output tokens per second, all models.",
    unit=_TOKENS_PER_SECOND,
    queries=(Query(q.rate(_OUTPUT), "tokens/s"),),
)
TOKENS_BY_MODEL: Final = Signal(
    title="Output tokens per second by model",
    description="What the engine writes, over all requests.",
    unit=_TOKENS_PER_SECOND,
    queries=(Query(q.used_rate(_OUTPUT, by="model"), "{{model}}"),),
)
PROMPT_TOKENS_BY_MODEL: Final = Signal(
    title="Prompt tokens per second by model",
    description="What the engine reads. Much of it slows the first token of everyone.",
    unit=_TOKENS_PER_SECOND,
    queries=(Query(q.used_rate("mistral_prompt_tokens_total", by="model"), "{{model}}"),),
)
DURATION: Final = Signal(
    title="Generation time percentiles",
    description="Whole answers that reached their end; failed and cancelled ones do not count.",
    unit="s",
    queries=tuple(Query(q.quantile(p / 100, _DURATION), f"p{p}") for p in (50, 95, 99)),
)
DURATION_BY_MODEL: Final = Signal(
    title="p95 generation time by model",
    description="The number that MistralSlowGeneration judges, model by model.",
    unit="s",
    queries=(Query(q.quantile(0.95, _DURATION, by="model"), "{{model}}"),),
)
DURATION_SPREAD: Final = Signal(
    title="Generation time spread",
    description="How many answers took how long.",
    unit="s",
    queries=(Query(q.buckets(_DURATION), "{{le}}"),),
)
TIME_PER_TOKEN: Final = Signal(
    title="Time per output token",
    description="Pace of a stream after its first token: duration of the rest by its tokens.",
    unit="s",
    queries=tuple(Query(q.quantile(p / 100, _PER_TOKEN), f"p{p}") for p in (50, 95)),
)
PACE: Final = Signal(
    title="Tokens per second of one request",
    description="Output tokens by time spent generating: the speed one user feels.",
    unit=_TOKENS_PER_SECOND,
    queries=(
        Query(
            q.ratio(q.rate(_OUTPUT, by="model"), q.rate(f"{_DURATION}_sum", by="model")),
            "{{model}}",
        ),
    ),
)
OUTPUT_LENGTH: Final = Signal(
    title="Answer length",
    description="Output tokens per answer. Long answers explain long generation times.",
    unit="short",
    queries=(Query(q.buckets("mistral_request_output_tokens"), "{{le}}"),),
)
PROMPT_LENGTH: Final = Signal(
    title="Prompt length",
    description="Prompt tokens per request. Long prompts explain a late first token.",
    unit="short",
    queries=(Query(q.buckets("mistral_request_prompt_tokens"), "{{le}}"),),
)
FINISH_REASONS: Final = Signal(
    title="How generations end",
    description="stop: the model was done. length: it hit the limit. error and cancelled: cut.",
    unit="ops",
    queries=(
        Query(q.used_rate("mistral_generations_total", by="finish_reason"), "{{finish_reason}}"),
    ),
)
MODELS: Final = Signal(
    title="Models",
    description="Whether a model is loaded, and its loads that the proxy saw in the time shown.",
    unit="none",
    when_empty="no model seen yet",
    queries=(
        Query(f"max by (model) ({q.select('mistral_model_loaded')})", "loaded"),
        Query(q.growth(f"{_LOAD}_count", by="model"), "loads"),
        Query(
            q.ratio(q.growth(f"{_LOAD}_sum", by="model"), q.growth(f"{_LOAD}_count", by="model")),
            "mean load time",
        ),
    ),
)
LOAD_TIME: Final = Signal(
    title="Load time by model",
    description="p95 of the time that the engine took to load a model, as the proxy saw it.",
    unit="s",
    when_empty=_NO_LOADS,
    queries=(Query(q.quantile(0.95, _LOAD, by="model"), "{{model}}"),),
)
LOADS: Final = Signal(
    title="Loads by model",
    description="Loads of a model so far. One that is loaded often is unloaded often.",
    unit="short",
    when_empty=_NO_LOADS,
    queries=(Query(q.used_total(f"{_LOAD}_count", by="model"), "{{model}}"),),
)
LOAD_SPREAD: Final = Signal(
    title="Load time spread",
    description="How many loads took how long. From the disk's cache it is quick, else it is not.",
    unit="s",
    when_empty=_NO_LOADS,
    queries=(Query(q.buckets(_LOAD), "{{le}}"),),
)
CHUNKS: Final = Signal(
    title="Streamed chunks by endpoint",
    description="Pieces of text written to clients per second; usually one token each.",
    unit="cps",
    queries=(Query(q.used_rate(_CHUNKS, by="endpoint"), "{{endpoint}}"),),
)
TOKENS_PER_CHUNK: Final = Signal(
    title="Output tokens per chunk",
    description=(
        "1 where all is streamed token by token; more where the engine sends several at once, or "
        "where answers are not streamed."
    ),
    unit="short",
    queries=(Query(q.ratio(q.rate(_OUTPUT), q.rate(_CHUNKS)), "tokens per chunk"),),
)
STREAM_OUTCOMES: Final = Signal(
    title="How streams end",
    description=(
        "completed, or cut by: the engine (upstream_error), the client (client_disconnected), "
        "or a time-out."
    ),
    unit="ops",
    queries=(Query(q.used_rate("mistral_streams_total", by="outcome"), "{{outcome}}"),),
)
FIRST_TOKEN: Final = Signal(
    title="Time to first token",
    description="How long a user looks at nothing: from the request to the first text written.",
    unit="s",
    queries=tuple(Query(q.quantile(p / 100, _FIRST), f"p{p}") for p in (50, 95, 99)),
)
FIRST_TOKEN_SPREAD: Final = Signal(
    title="Time to first token spread",
    description="How many streams waited how long for their first text.",
    unit="s",
    queries=(Query(q.buckets(_FIRST), "{{le}}"),),
)
