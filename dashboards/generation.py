"""Signals of the generations: speed, length, outcome, model loads."""

from __future__ import annotations

from typing import Final

from dashboards import queries as q
from dashboards.signals import (
    NUMBER,
    REQUESTS_PER_SECOND,
    SECONDS,
    TOKENS,
    TOKENS_PER_SECOND,
    Query,
    Signal,
)

_DURATION: Final = "mistral_generate_duration_seconds"
_OUTPUT: Final = "mistral_generate_tokens_total"
_FIRST: Final = "mistral_time_to_first_token_seconds"
_PER_TOKEN: Final = "mistral_time_per_output_token_seconds"  # noqa: S105 - a metric's name
_LOAD: Final = "mistral_model_load_duration_seconds"
_CHUNKS: Final = "mistral_streaming_chunks_total"
_NO_LOADS: Final = "no loads counted"

TOKENS_BY_MODEL: Final = Signal(
    title="Output tokens per second by model",
    description="Tokens that the engine generates for all requests together.",
    unit=TOKENS_PER_SECOND,
    queries=(Query(q.used_rate(_OUTPUT, by="model"), "{{model}}"),),
)
PROMPT_TOKENS_BY_MODEL: Final = Signal(
    title="Prompt tokens per second by model",
    description="Tokens that the engine reads. Long prompts delay the first token of all requests.",
    unit=TOKENS_PER_SECOND,
    queries=(Query(q.used_rate("mistral_prompt_tokens_total", by="model"), "{{model}}"),),
)
DURATION: Final = Signal(
    title="Generation time percentiles",
    description="Duration of completed generations; failed and cancelled ones don't count.",
    unit=SECONDS,
    queries=tuple(Query(q.quantile(p / 100, _DURATION), f"p{p}") for p in (50, 95, 99)),
)
DURATION_BY_MODEL: Final = Signal(
    title="p95 generation time by model",
    description=(
        "Duration of completed generations. MistralSlowGeneration compares it with its threshold, "
        "and also asks for few tokens per second."
    ),
    unit=SECONDS,
    queries=(Query(q.quantile(0.95, _DURATION, by="model"), "{{model}}"),),
)
DURATION_SPREAD: Final = Signal(
    title="Generation time distribution",
    description="Number of completed generations by duration.",
    unit=SECONDS,
    queries=(Query(q.buckets(_DURATION), "{{le}}"),),
)
TIME_PER_TOKEN: Final = Signal(
    title="Time per output token",
    description="Time between two tokens of a stream, after the first one.",
    unit=SECONDS,
    queries=tuple(Query(q.quantile(p / 100, _PER_TOKEN), f"p{p}") for p in (50, 95)),
)
PACE: Final = Signal(
    title="Tokens per second of one request",
    description=(
        "How fast one response is generated: output tokens and the time that the engine took for "
        "them, both counted while a stream runs. The first token isn't among them, so waiting for "
        "it isn't either. Below the line, MistralSlowGeneration may fire."
    ),
    unit=TOKENS_PER_SECOND,
    queries=(
        Query(
            q.ratio(
                q.rate("mistral_decode_tokens_total", by="model"),
                q.rate("mistral_decode_seconds_total", by="model"),
            ),
            "{{model}}",
        ),
    ),
)
OUTPUT_LENGTH: Final = Signal(
    title="Response length",
    description="Number of completed generations by their output tokens.",
    unit=TOKENS,
    queries=(Query(q.buckets("mistral_request_output_tokens"), "{{le}}"),),
)
PROMPT_LENGTH: Final = Signal(
    title="Prompt length",
    description=(
        "Number of completed generations by their prompt tokens. Long prompts delay the first "
        "token."
    ),
    unit=TOKENS,
    queries=(Query(q.buckets("mistral_request_prompt_tokens"), "{{le}}"),),
)
FINISH_REASONS: Final = Signal(
    title="How generations end",
    description=(
        "stop: complete. length: cut at the limit. error: failed or refused, also because of the "
        "request. cancelled: the client disconnected."
    ),
    unit=REQUESTS_PER_SECOND,
    queries=(
        Query(q.used_rate("mistral_generations_total", by="finish_reason"), "{{finish_reason}}"),
    ),
)
MODELS: Final = Signal(
    title="Models",
    description=(
        "loaded: whether the model is loaded now. on demand: loads in the time shown that a "
        "request caused; a model that the engine loads when it starts needs none. load time: their "
        "mean."
    ),
    unit=NUMBER,
    when_empty="no model known",
    queries=(
        Query(f"max by (model) ({q.select('mistral_model_loaded')})", "loaded"),
        Query(q.growth(f"{_LOAD}_count", by="model"), "on demand"),
        Query(
            q.ratio(q.growth(f"{_LOAD}_sum", by="model"), q.growth(f"{_LOAD}_count", by="model")),
            "load time",
        ),
    ),
)
LOAD_TIME: Final = Signal(
    title="Load time by model",
    description="p95 of the time that the engine took to load a model because of a request.",
    unit=SECONDS,
    when_empty=_NO_LOADS,
    queries=(Query(q.quantile(0.95, _LOAD, by="model"), "{{model}}"),),
)
LOADS: Final = Signal(
    title="Loads by model",
    description=(
        "Loads of each model that requests caused since the proxy started. Many loads mean many "
        "unloads."
    ),
    unit=NUMBER,
    when_empty=_NO_LOADS,
    queries=(Query(q.used_total(f"{_LOAD}_count", by="model"), "{{model}}"),),
    whole=True,
)
LOAD_SPREAD: Final = Signal(
    title="Load time distribution",
    description="Number of loads by duration. Loads from the file cache are fast.",
    unit=SECONDS,
    when_empty=_NO_LOADS,
    queries=(Query(q.buckets(_LOAD), "{{le}}"),),
)
CHUNKS: Final = Signal(
    title="Streamed chunks by endpoint",
    description="Chunks written to clients per second; usually one token each.",
    unit="suffix:chunks/s",
    queries=(Query(q.used_rate(_CHUNKS, by="endpoint"), "{{endpoint}}"),),
)
TOKENS_PER_CHUNK: Final = Signal(
    title="Output tokens per chunk",
    description=(
        "1 if all responses are streamed token by token; more if the engine sends several tokens "
        "at once, or if responses aren't streamed. For all endpoints and models: tokens are "
        "counted by model, chunks by endpoint."
    ),
    unit="suffix:tok/chunk",
    queries=(
        Query(
            q.ratio(q.rate_of(q.unfiltered(_OUTPUT)), q.rate_of(q.unfiltered(_CHUNKS))),
            "tokens per chunk",
        ),
    ),
)
STREAM_OUTCOMES: Final = Signal(
    title="How streams end",
    description=(
        "completed, or not: because of the engine (upstream_error), the request (client_error), "
        "the client's connection (client_disconnected) or a timeout. Streams that were refused "
        "before their first chunk count too."
    ),
    unit=REQUESTS_PER_SECOND,
    queries=(Query(q.used_rate("mistral_streams_total", by="outcome"), "{{outcome}}"),),
)
FIRST_TOKEN: Final = Signal(
    title="Time to first token",
    description="Time from a request to the first content of its stream.",
    unit=SECONDS,
    queries=tuple(Query(q.quantile(p / 100, _FIRST), f"p{p}") for p in (50, 95, 99)),
)
FIRST_TOKEN_SPREAD: Final = Signal(
    title="Time to first token distribution",
    description="Number of streams by their time to first token.",
    unit=SECONDS,
    queries=(Query(q.buckets(_FIRST), "{{le}}"),),
)
