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

logger = logging.getLogger("proxy_service.requests")


@dataclass(slots=True)
class RequestRecord:
    """The record of one request; times are seconds of the monotonic clock.

    ``at_once`` is whether a stream was written after the generation, in which case the time of its
    first token is unknown. ``delivered`` is whether the last byte of the response was sent.
    ``client_address`` is set, and logged, if a key was refused.
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
    client_address: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    first_token: float | None = None
    _model_metrics: ModelMetrics | None = field(default=None, repr=False)
    _finished: bool = False

    def open(self) -> None:
        """Count the request as running."""
        self.metrics.active_requests.inc()

    def generates_with(self, model: str) -> None:
        """Record the model, by the name of an `EngineModel`."""
        self.model = model
        self._model_metrics = self.metrics.model(model)

    def wrote(self, chunks: int, deltas: int, now: float) -> None:
        """Count the chunks and deltas that were written to the client's connection."""
        counter = self.metrics.endpoint(self.endpoint).chunks
        if chunks and counter is not None:
            counter.inc(chunks)
            if self.first_token is None and not self.at_once:
                self.first_token = now
        if deltas:
            self._count_tokens(deltas)

    def interrupted(self) -> None:
        """Record that the client disconnected, or read nothing for too long.

        This doesn't change the outcome of a response that was sent completely.
        """
        if not self.delivered:
            self.cancelled = True

    def completed(self, usage: Usage | None, finish_reason: str | None) -> None:
        """Record a generation that reached its end."""
        self.finish_reason = finish_reason if finish_reason in FINISH_REASONS else "other"
        counts = usage or {}
        self.prompt_tokens = counts.get("prompt_tokens", 0)
        self._count_tokens(max(counts.get("completion_tokens", 0) - self.output_tokens, 0))

    def finish(self, now: float) -> None:
        """Count and log the request; later calls do nothing."""
        if self._finished:
            return
        self._finished = True
        self.metrics.active_requests.dec()
        endpoint, status = self.metrics.endpoint(self.endpoint), self.status
        endpoint.requests[status].inc()
        endpoint.duration.observe(now - self.started)
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
        if self.first_token is not None and self.output_tokens > 1:
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
        if self.client_address:
            fields["client_address"] = self.client_address
        level = logging.WARNING if status == "error" else logging.INFO
        write_event(logger, level, REQUEST_FINISHED, fields)
