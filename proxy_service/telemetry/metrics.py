"""All metrics: their names, labels, buckets and help texts.

No other module creates a metric or looks up a child. The children that requests need are looked up
once per endpoint and per model, and kept. All label values are from fixed lists, except for
``model``: it is the name of a model that the engine lists, or ``other`` once there are
`MODEL_LIMIT` of them.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

from proxy_service import VERSION
from proxy_service.errors import ERROR_TYPES, ErrorType
from proxy_service.telemetry.instruments import Counter, Gauge, Histogram, Instruments
from proxy_service.wire.engine_paths import OPERATIONS

# Seconds. Every threshold of the alerts (5, 10, 30) is a bound, with larger ones above it.
HTTP_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5),
    *(10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600),
)
GENERATE_BUCKETS = (
    *(0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20),
    *(30, 45, 60, 90, 120, 180, 300, 600),
)
# Seconds; the same bounds as in the engine's own histograms, so that they can be compared.
FIRST_TOKEN_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560),
)
OUTPUT_TOKEN_BUCKETS = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1, 2.5, 5, 7.5, 10, 20, 40, 80),
)
QUEUE_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
LOAD_BUCKETS = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800)
TOKEN_BUCKETS = tuple(4**n for n in range(10))  # tokens

# The values of the label ``endpoint``.
GenerationEndpoint = Literal[
    "generate",
    "chat",
    "v1_chat_completions",
    "v1_completions",
    "v1_responses",
    "v1_messages",
]
StreamingEndpoint = Literal[GenerationEndpoint, "pull"]
Endpoint = Literal[
    StreamingEndpoint,
    "embed",
    "embeddings",
    "tags",
    "ps",
    "show",
    "version",
    "push",
    "create",
    "copy",
    "delete",
    "blobs",
    "v1_embeddings",
    "v1_models",
    "unmatched",
]
UNMATCHED: Final = "unmatched"
GENERATION_ENDPOINTS: tuple[GenerationEndpoint, ...] = get_args(GenerationEndpoint)
STREAMING_ENDPOINTS: tuple[StreamingEndpoint, ...] = get_args(StreamingEndpoint)
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)

Status = Literal["success", "client_error", "error", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
Outcome = Literal["completed", "upstream_error", "client_disconnected", "timeout"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
FINISH_REASONS = (
    *("stop", "length", "tool_calls", "load", "unload", "error", "cancelled", "other"),
)

# The operation for a path that `OPERATIONS` lacks.
OTHER_OPERATION = "other"

OTHER_MODEL = "other"
MODEL_LIMIT = 50


@dataclass(frozen=True, slots=True)
class EndpointMetrics:
    """The children of one endpoint."""

    duration: Histogram
    wait: Histogram
    requests: dict[Status, Counter]
    errors: dict[ErrorType, Counter]
    chunks: Counter | None  # None if the endpoint doesn't stream
    streams: dict[Outcome, Counter]


@dataclass(frozen=True, slots=True)
class ModelMetrics:
    """The children of one model."""

    generate_duration: Histogram
    output_tokens: Counter
    decode_tokens: Counter
    decode_seconds: Counter
    prompt_tokens: Counter
    first_token: Histogram
    per_output_token: Histogram
    request_output_tokens: Histogram
    request_prompt_tokens: Histogram
    generations: dict[str, Counter]
    load_duration: Histogram
    loaded: Gauge


class ProxyMetrics:
    """All metrics of one proxy."""

    def __init__(self) -> None:
        self._instruments = Instruments()
        self._process = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)
        self._families = _Families(self._instruments)
        self._endpoints = {name: self._families.endpoint(name) for name in ENDPOINTS}
        self._models: dict[str, ModelMetrics] = {}
        self.active_requests = self._families.active_requests
        self.upstream_up = self._families.upstream_up
        self.upstream_last_success = self._families.upstream_last_success
        durations = self._families.upstream_duration
        self._upstream = {path: durations.labels(name) for path, name in OPERATIONS.items()}
        self._upstream_other = durations.labels(OTHER_OPERATION)
        self.event_loop_lag = self._families.event_loop_lag
        self.running_requests = self._families.running_requests
        self.running_limit = self._families.running_limit
        self.queued_requests = self._families.queued_requests
        self.queued_limit = self._families.queued_limit
        self.queue_wait = self._families.queue_wait
        self._families.info.labels(VERSION).set(1)

    def started(self, unix_seconds: float) -> None:
        """Set the time at which the process began to serve."""
        self._families.start_time.set(unix_seconds)

    def endpoint(self, name: Endpoint) -> EndpointMetrics:
        """Return the children of an endpoint."""
        return self._endpoints[name]

    def model(self, name: str) -> ModelMetrics:
        """Return the children of a model that the engine lists."""
        known = self._models.get(name)
        if known is None:
            if len(self._models) >= MODEL_LIMIT and name != OTHER_MODEL:
                return self.model(OTHER_MODEL)
            known = self._models[name] = self._families.model(name)
        return known

    def upstream_duration(self, path: str) -> Histogram:
        """Return the child for requests to a path of the engine."""
        return self._upstream.get(path, self._upstream_other)

    def expose(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in the format that the ``Accept`` header asks for, and its type."""
        encode, content_type = choose_encoder(accept)
        ours, process = self._instruments.expose(accept), encode(self._process)
        return ours.removesuffix(b"# EOF\n") + process, content_type


class _Families:
    """All metric families, each created once."""

    def __init__(self, instruments: Instruments) -> None:
        counter, gauge, histogram = instruments.counter, instruments.gauge, instruments.histogram
        self.requests = counter(
            "mistral_http_requests_total",
            "Finished requests by endpoint and outcome.",
            *("endpoint", "status"),
        )
        self.duration = histogram(
            "mistral_http_request_duration_seconds",
            "Seconds from a request's head to the last byte of its response, for all outcomes.",
            HTTP_BUCKETS,
            "endpoint",
        )
        self.wait = histogram(
            "mistral_request_wait_seconds",
            "Seconds that clients waited: without those in which their answers were generated.",
            HTTP_BUCKETS,
            "endpoint",
        )
        self.active_requests = gauge(
            "mistral_active_requests", "Requests that were accepted and haven't finished."
        ).labels()
        self.running_requests = gauge(
            "mistral_running_requests",
            "Generations and embeddings that hold a slot at the engine.",
        ).labels()
        self.running_limit = gauge(
            "mistral_running_requests_limit", "Number of requests that may hold a slot at once."
        ).labels()
        self.queued_requests = gauge(
            "mistral_queued_requests", "Generations and embeddings that wait for a slot."
        ).labels()
        self.queued_limit = gauge(
            "mistral_queued_requests_limit", "Number of requests that may wait for a slot at once."
        ).labels()
        self.queue_wait = histogram(
            "mistral_queue_wait_seconds",
            "Seconds that requests waited in the queue; those that didn't wait aren't counted.",
            QUEUE_BUCKETS,
        ).labels()
        self.generate_duration = histogram(
            "mistral_generate_duration_seconds",
            "Seconds that completed generations took.",
            GENERATE_BUCKETS,
            "model",
        )
        self.output_tokens = counter("mistral_generate_tokens_total", "Tokens generated.", "model")
        self.decode_tokens = counter(
            "mistral_decode_tokens_total",
            "Tokens whose generation was timed: all but the first of each stream.",
            "model",
        )
        self.decode_seconds = counter(
            "mistral_decode_seconds_total",
            "Seconds that the engine took for the tokens of mistral_decode_tokens_total.",
            "model",
        )
        self.chunks = counter(
            "mistral_streaming_chunks_total",
            "Chunks with content that were sent to clients in streams.",
            "endpoint",
        )
        self.load_duration = histogram(
            "mistral_model_load_duration_seconds",
            "Seconds that the engine took to load a model.",
            LOAD_BUCKETS,
            "model",
        )
        self.prompt_tokens = counter(
            "mistral_prompt_tokens_total", "Prompt tokens of completed generations.", "model"
        )
        self.first_token = histogram(
            "mistral_time_to_first_token_seconds",
            "Seconds from a request's head to its first content, in streams.",
            FIRST_TOKEN_BUCKETS,
            "model",
        )
        self.per_output_token = histogram(
            "mistral_time_per_output_token_seconds",
            "Mean seconds per output token after the first, in streams.",
            OUTPUT_TOKEN_BUCKETS,
            "model",
        )
        self.request_prompt_tokens = histogram(
            "mistral_request_prompt_tokens",
            "Prompt tokens per completed generation.",
            TOKEN_BUCKETS,
            "model",
        )
        self.request_output_tokens = histogram(
            "mistral_request_output_tokens",
            "Output tokens per completed generation.",
            TOKEN_BUCKETS,
            "model",
        )
        self.generations = counter(
            "mistral_generations_total",
            "Generations by how they ended.",
            *("model", "finish_reason"),
        )
        self.streams = counter(
            "mistral_streams_total",
            "Streams by how they ended.",
            *("endpoint", "outcome"),
        )
        self.errors = counter(
            "mistral_request_errors_total",
            "Requests that ended in an error, by its type.",
            *("endpoint", "error_type"),
        )
        self.upstream_up = gauge(
            "mistral_upstream_up", "1 if the last probe of the engine succeeded, else 0."
        ).labels()
        self.upstream_last_success = gauge(
            "mistral_upstream_last_success_timestamp_seconds",
            "Unix time in seconds of the last successful probe of the engine; 0 before the first.",
        ).labels()
        self.upstream_duration = histogram(
            "mistral_upstream_request_duration_seconds",
            "Seconds that the proxy waited for the engine per request, connecting included.",
            HTTP_BUCKETS,
            "operation",
        )
        self.loaded = gauge(
            "mistral_model_loaded", "1 if the engine has the model loaded, else 0.", "model"
        )
        self.event_loop_lag = gauge(
            "mistral_event_loop_lag_seconds",
            "Longest lag of the proxy's event loop in the last 15 seconds.",
        ).labels()
        self.info = gauge("mistral_proxy_info", "Always 1; the version is a label.", "version")
        self.start_time = gauge(
            "mistral_start_time_seconds", "Unix time in seconds at which the proxy started."
        ).labels()

    def endpoint(self, name: Endpoint) -> EndpointMetrics:
        """Create every child of one endpoint at 0, so that a rate shows the first increase."""
        streams = name in STREAMING_ENDPOINTS
        return EndpointMetrics(
            duration=self.duration.labels(name),
            wait=self.wait.labels(name),
            requests={status: self.requests.labels(name, status) for status in STATUSES},
            errors={kind: self.errors.labels(name, kind) for kind in ERROR_TYPES},
            chunks=self.chunks.labels(name) if streams else None,
            streams={o: self.streams.labels(name, o) for o in OUTCOMES} if streams else {},
        )

    def model(self, name: str) -> ModelMetrics:
        """Create every child of one model."""
        return ModelMetrics(
            generate_duration=self.generate_duration.labels(name),
            output_tokens=self.output_tokens.labels(name),
            decode_tokens=self.decode_tokens.labels(name),
            decode_seconds=self.decode_seconds.labels(name),
            prompt_tokens=self.prompt_tokens.labels(name),
            first_token=self.first_token.labels(name),
            per_output_token=self.per_output_token.labels(name),
            request_output_tokens=self.request_output_tokens.labels(name),
            request_prompt_tokens=self.request_prompt_tokens.labels(name),
            generations={
                reason: self.generations.labels(name, reason) for reason in FINISH_REASONS
            },
            load_duration=self.load_duration.labels(name),
            loaded=self.loaded.labels(name),
        )
