"""The record of one request, which is counted and logged exactly once when it is over.

This module defines what the metrics mean: which outcome counts as what, and when.
"""

import logging
from dataclasses import dataclass, field
from http import HTTPStatus

from proxy_service.errors import ProxyError
from proxy_service.telemetry.logs import REQUEST_FINISHED, write_event
from proxy_service.telemetry.metrics import (
    FINISH_REASONS,
    GENERATION_ENDPOINTS,
    STREAMING_ENDPOINTS,
    UNMATCHED,
    Endpoint,
    ModelMetrics,
    Outcome,
    ProxyMetrics,
    Status,
)
from proxy_service.wire.engine import Usage

# The log's name for a model that the engine doesn't list; no metric has it.
UNKNOWN_MODEL = "unknown"
# Seconds per token: the longest that an engine is taken to generate for if its reply came at once,
# and its usage doesn't say how long it took.
_SLOWEST_TOKEN_SECONDS = 1.0

logger = logging.getLogger("proxy_service.requests")


@dataclass(slots=True)
class RequestRecord:
    """The record of one request; times are seconds of the monotonic clock.

    ``at_once`` is whether a stream was written after the generation, in which case the time of its
    first token is unknown. ``delivered`` is whether the last byte of the response was sent.
    """

    metrics: ProxyMetrics
    request_id: str
    started: float
    endpoint: Endpoint = UNMATCHED
    model: str = ""
    http_status: int = 0
    streaming: bool = False
    error: ProxyError | None = None
    cancelled: bool = False
    delivered: bool = False
    at_once: bool = False
    finish_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    first_token: float | None = None
    _model_metrics: ModelMetrics | None = field(default=None, repr=False)
    # Seconds for which the proxy had waited for the engine when the last delta was written.
    _waited_at_delta: float | None = None
    # Seconds for which the engine generated a reply that came at once; None for any other reply.
    _generated_seconds: float | None = None
    _finished: bool = False

    def open(self) -> None:
        """Count the request as running."""
        self.metrics.active_requests.inc()

    def generates_with(self, model: str) -> None:
        """Record the model, by the name of an `EngineModel`."""
        self.model = model
        self._model_metrics = self.metrics.model(model)

    def wrote(self, chunks: int, deltas: int, *, now: float, waited: float) -> None:
        """Count the chunks and deltas that were written to the client's connection.

        ``waited`` is how many seconds the proxy has waited for the engine's reply so far.
        """
        counter = self.metrics.endpoint(self.endpoint).chunks
        if chunks and counter is not None:
            counter.inc(chunks)
            if self.first_token is None and not self.at_once:
                self.first_token = now
        if deltas:
            self._count_tokens(deltas)
            self._count_decoding(deltas, waited)

    def interrupted(self) -> None:
        """Record that the client disconnected, or read nothing for too long.

        This doesn't change the outcome of a response that was sent completely.
        """
        if not self.delivered:
            self.cancelled = True

    def completed(self, usage: Usage | None, finish_reason: str | None, *, waited: float) -> None:
        """Record a generation that reached its end; ``waited`` as in `wrote`."""
        self.finish_reason = finish_reason if finish_reason in FINISH_REASONS else "other"
        usage = usage or {}
        self.prompt_tokens = usage.get("prompt_tokens", 0)
        deltas = self.output_tokens
        self._count_tokens(max(usage.get("completion_tokens", 0) - deltas, 0))
        more = self.output_tokens - deltas
        if not deltas or (deltas == 1 and more):
            self._came_at_once(usage, more, waited)
        elif more:
            self._count_decoding(more, waited)

    def finish(self, now: float) -> None:
        """Count and log the request; later calls do nothing."""
        if self._finished:
            return
        self._finished = True
        self.metrics.active_requests.dec()
        endpoint, status = self.metrics.endpoint(self.endpoint), self.status
        endpoint.requests[status].inc()
        endpoint.duration.observe(now - self.started)
        endpoint.wait.observe(self._waiting_seconds(now))
        if self.error is not None and not self.cancelled:
            endpoint.errors[self.error.error_type].inc()
        if self.streaming and self.endpoint in STREAMING_ENDPOINTS:
            endpoint.streams[self._outcome(status)].inc()
        if self._model_metrics is not None and self.endpoint in GENERATION_ENDPOINTS:
            self._observe_generation(self._model_metrics, status, now)
        self._log(status, now)

    @property
    def status(self) -> Status:
        """The outcome, as a value of the metrics' label."""
        if self.cancelled:
            return "cancelled"
        # An error can follow a status that was sent already.
        status = self.http_status if self.error is None else self.error.status
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or not status:
            return "error"
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            return "error"
        return "client_error" if status >= HTTPStatus.BAD_REQUEST else "success"

    def _outcome(self, status: Status) -> Outcome:
        if status == "cancelled":
            return "client_disconnected"
        if self.error is not None and self.error.timed_out:
            return "timeout"
        return "upstream_error" if status == "error" else "completed"

    def _count_tokens(self, tokens: int) -> None:
        if tokens and self._model_metrics is not None:
            self._model_metrics.output_tokens.inc(tokens)
            self.output_tokens += tokens

    def _count_decoding(self, tokens: int, waited: float) -> None:
        """Count tokens of a stream, and how long the proxy waited for those after the first."""
        model = self._model_metrics
        if model is not None:
            if self._waited_at_delta is None:
                tokens -= 1
            else:
                model.decode_seconds.inc(waited - self._waited_at_delta)
            model.decode_tokens.inc(tokens)
        self._waited_at_delta = waited

    def _came_at_once(self, usage: Usage, tokens: int, waited: float) -> None:
        """Count the decoding of a whole reply, or of a stream whose content came in one event.

        Such a stream is one with a tool call and no text, for example. ``tokens`` are those that
        weren't counted while it ran.
        """
        seconds = usage.get("total_completion_time_sec")
        if seconds is not None and (seconds or self.output_tokens <= 1):
            self._generated_seconds = seconds
            if seconds and tokens and self._model_metrics is not None:
                self._model_metrics.decode_tokens.inc(tokens)
                self._model_metrics.decode_seconds.inc(seconds)
        elif "completion_tokens" in usage or self.streaming:
            self._generated_seconds = min(waited, self.output_tokens * _SLOWEST_TOKEN_SECONDS)
        else:
            self._generated_seconds = waited

    def _waiting_seconds(self, now: float) -> float:
        """Return how long the client waited, without the time in which its answer was generated."""
        seconds = now - self.started
        if self._generated_seconds is not None and self.error is None:
            seconds = max(seconds - self._generated_seconds, 0.0)
        if self.first_token is not None:
            seconds = min(seconds, self.first_token - self.started)
        return seconds

    def _observe_generation(self, model: ModelMetrics, status: Status, now: float) -> None:
        if self.first_token is not None:
            model.first_token.observe(self.first_token - self.started)
        if status != "success":
            reason = "cancelled" if status == "cancelled" else "error"
            model.generations[reason].inc()
            return
        if not self.finish_reason:
            return
        model.generations[self.finish_reason].inc()
        if self.finish_reason in ("load", "unload"):
            return
        model.generate_duration.observe(now - self.started)
        model.prompt_tokens.inc(self.prompt_tokens)
        model.request_prompt_tokens.observe(self.prompt_tokens)
        model.request_output_tokens.observe(self.output_tokens)
        came_at_once = self._generated_seconds is not None
        if self.first_token is not None and self.output_tokens > 1 and not came_at_once:
            model.per_output_token.observe((now - self.first_token) / (self.output_tokens - 1))

    def _log(self, status: Status, now: float) -> None:
        fields = {
            "request_id": self.request_id,
            "endpoint": self.endpoint,
            "model": self.model,
            "stream": self.streaming,
            "http_status": self.http_status,
            "status": status,
            "error_type": self.error.error_type if self.error else None,
            "error": self.error.message if self.error and self.error.loggable else None,
            "duration_seconds": round(now - self.started, 6),
            "time_to_first_token_seconds": (
                None if self.first_token is None else round(self.first_token - self.started, 6)
            ),
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
        }
        level = logging.WARNING if status == "error" else logging.INFO
        write_event(logger, level, REQUEST_FINISHED, fields)
