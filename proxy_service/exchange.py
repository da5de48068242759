"""One request and its response: what every endpoint needs.

`Exchange` connects a request on a connection (`IncomingRequest`, `ClientStream`) to the record
that counts it. Every response, success or error, whole or streamed, is sent through it.
"""

import logging
import re
import secrets
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from itertools import count
from typing import TypeVar

from proxy_service.clock import NS_PER_SECOND, Moment, http_date, moment
from proxy_service.errors import (
    InternalError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ProxyError,
)
from proxy_service.server.budgets import SMALL_BODY_BYTES
from proxy_service.server.connection import ClientStream, Headers, HTTPResponse
from proxy_service.server.request import IncomingRequest
from proxy_service.services import Services
from proxy_service.streaming.engine_stream import Batch
from proxy_service.telemetry.record import UNKNOWN_MODEL, RequestRecord
from proxy_service.translate.models.model import EngineModel
from proxy_service.wire import JsonObject
from proxy_service.wire.compression import unpack
from proxy_service.wire.errors import dialect_of, error_body, error_in_stream
from proxy_service.wire.writing import to_json, to_json_in_steps

JSON = "application/json; charset=utf-8"
NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"
TEXT = "text/plain; charset=utf-8"
# For reverse proxies: nginx and others send a stream on as it arrives if the response says so.
_UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

# Request ids are unique among processes, too. They aren't secret, and need no system call.
_PROCESS = secrets.token_hex(4)
_numbers = count(1)
_REQUEST_ID = re.compile(r"[\w.:+/=-]{1,128}", re.ASCII)

_Job = TypeVar("_Job")

logger = logging.getLogger("proxy_service.exchange")


class _NotListed(Exception):  # noqa: N818  not an error: the engine is asked then
    """The last list of models has none with this name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Exchange:
    """One request on its way through the proxy.

    ``body`` is the request's body and, once that is translated, the body for the engine. ``page``
    is the origin of the web page that may read the response, if there is one.
    """

    __slots__ = (
        *(
            "_found",
            "_replaced",
            "_stream",
            "body",
            "dialect",
            "page",
            "record",
            "request",
            "services",
        ),
        "streaming",
    )

    def __init__(self, request: IncomingRequest, stream: ClientStream, services: Services) -> None:
        self.request = request
        self.services = services
        self.body = b""
        self._found: EngineModel | None = None
        self._replaced = False  # whether the size of the body has changed since it was reserved
        self.page: str | None = None
        self.streaming = False
        self.dialect = dialect_of(request.path)
        self.record = RequestRecord(
            metrics=services.metrics,
            request_id=_request_id(request.headers.get("x-request-id", "")),
            started=services.clock.monotonic(),
        )
        self._stream = stream

    async def receive(self, codings: tuple[str, ...] = ()) -> None:
        """Wait for the request's body, and unpack it.

        Args:
            codings: The content codings in which it may be compressed.

        Raises:
            RequestError: The body is invalid, or compressed in another coding.
            Overloaded: There is no room for it, packed or unpacked.
        """
        self.body = await self._stream.body()
        coding = self.request.headers.get("content-encoding", "identity").lower()
        if not self.body or coding == "identity":
            return
        if coding not in codings:
            accepted = "zstd, gzip or plain JSON" if codings else "plain JSON"
            raise InvalidRequest(
                f"the body has a Content-Encoding; send it as {accepted}",
                status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            )
        settings = self.services.settings
        limit_bytes = min(settings.max_unpacked_bytes, settings.max_body_bytes)
        self.body = unpack(self.body, coding, limit_bytes=limit_bytes)
        if self.request.reservation is not None:
            self.services.body_budget.grow(self.request.reservation, len(self.body))

    def moment(self) -> Moment:
        """Return the current time in the form that responses need."""
        return moment(self.services.clock, self.record.started)

    async def find(self, name: str) -> EngineModel:
        """Return the engine's model with this name, and record it as the request's."""
        try:
            model = await self.services.catalogue.find(name)
        except ProxyError:
            self.record.model = UNKNOWN_MODEL
            raise
        self.record.generates_with(model.name)
        return model

    async def translated(
        self, translate: Callable[["Exchange"], _Job], *, not_found: str = "model '{}' not found"
    ) -> _Job:
        """Return what ``translate`` makes of the request; it calls `listed` and `replace_body`.

        See `work` for where it runs.

        If the last list of models lacks the one that it needs, it is called again after the engine
        was asked. In the meantime, only the body is held: decoded, it can take fifty times as much
        memory. For the same reason, the result must hold no more than it needs.

        Raises:
            ProxyError: What ``translate`` raises, or that the engine lacks the model; ``not_found``
                is the text, with the model's name in place of the braces.
        """
        try:
            return await self.work(partial(translate, self))
        except _NotListed as missing:
            name = missing.name  # its traceback holds what was decoded
        try:
            self._found = await self.find(name)
        except ModelNotFound:
            raise ModelNotFound(not_found.format(name)) from None
        return await self.work(partial(translate, self))

    async def work(self, job: Callable[[], _Job]) -> _Job:
        """Return what ``job`` makes of the body; it may call `replace_body`.

        With a large body it runs beside the event loop; see `LargeBodies`.

        Raises:
            ProxyError: What ``job`` raises.
            Overloaded: All bodies together are too large with the one that it made.
        """
        result = await self.services.large_bodies.work(job) if self._is_large else job()
        if self._replaced:
            self._replaced = False
            self._stream.hold(len(self.body))
        return result

    @property
    def _is_large(self) -> bool:
        return len(self.body) > SMALL_BODY_BYTES

    def listed(self, name: str) -> EngineModel:
        """Return the engine's model with this name, and record it; for use in `translated`."""
        model = self._found or self.services.catalogue.listed(name)
        if model is None:
            raise _NotListed(name)
        self.record.generates_with(model.name)
        return model

    def replace_body(self, value: JsonObject) -> None:
        """Hold the body for the engine, as JSON, instead of the client's; for use in `work`."""
        write = to_json_in_steps if self._is_large else to_json
        self.body = b""  # first, to have memory for the other one
        self.body = write(value)
        self._replaced = True

    def release_body(self) -> None:
        """Hold no body any more."""
        self.body = b""
        self._stream.hold(0)

    def response(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: str = JSON,
        headers: dict[str, str] | None = None,
    ) -> HTTPResponse:
        """Return a response with a whole body, and record its status."""
        self.record.http_status = status
        return HTTPResponse(status, self._headers(content_type, headers), body)

    def json(self, value: object, *, status: int = 200) -> HTTPResponse:
        """Return a response with a JSON body."""
        return self.response(to_json(value), status=status)

    async def send(self, response: HTTPResponse) -> None:
        """Send a whole response, or an error if there is no room for it."""
        self.close_if_stopping()
        self._add_date(response.headers)
        try:
            await self._stream.send(response)
        except Overloaded as error:
            refusal = self.refuse(error)
            self._add_date(refusal.headers)
            await self._stream.send(refusal)

    def close_if_stopping(self) -> None:
        """Close the connection after this response if the proxy is stopping.

        An idle connection would delay the shutdown by the whole grace period.
        """
        if self.services.stopping.is_set():
            self._stream.keep_alive = False

    def refuse(self, error: ProxyError) -> HTTPResponse:
        """Return an error in the format of the API that was called, and record it."""
        error.forget_origin()
        self.record.error = error
        return self.response(
            error_body(error, self.dialect), status=error.status, headers=error.headers
        )

    async def write(
        self, batch: Batch, *, content_type: str, waited: float = 0.0, end: bool = False
    ) -> None:
        """Send a part of a streamed response; the first part is sent with the head.

        Waits while the client's buffers are full, which in turn makes the engine wait. ``waited``
        is how many seconds the proxy has waited for the engine's reply so far.
        """
        if not batch.data and not end:
            return
        if not self.streaming:
            self._open(content_type)
        await self._stream.write(batch.data, end=end)
        self.record.delivered = self.record.delivered or end
        self.record.wrote(
            batch.chunks, batch.deltas, now=self.services.clock.monotonic(), waited=waited
        )

    async def fail(
        self, error: ProxyError, *, content_type: str, ending: bytes | None = None
    ) -> None:
        """End a stream with an error, which by now can be reported only in the body.

        ``ending`` is what is written; by default, the error in the format of the API.
        """
        error.forget_origin()
        self.record.error = error
        if ending is None:
            ending = error_in_stream(error, self.dialect)
        await self.write(Batch(ending), content_type=content_type, end=True)

    async def crashed(self, error: Exception) -> HTTPResponse | None:
        """Log a fault of the proxy; return its response, or end the stream with it."""
        logger.error("internal_error", exc_info=error)
        ours = InternalError("internal error; the proxy's log has the details")
        if not self.streaming:
            return self.refuse(ours)
        await self.fail(ours, content_type=NDJSON)
        return None

    def _open(self, content_type: str) -> None:
        self.streaming = True
        self.record.http_status = 200
        self.record.streaming = True
        headers = self._headers(content_type, _UNBUFFERED)
        self._add_date(headers)
        self.close_if_stopping()
        self._stream.open(HTTPStatus.OK, headers)

    def _add_date(self, headers: Headers) -> None:
        headers.append(("Date", http_date(self.services.clock.time_ns() // NS_PER_SECOND)))

    def _headers(self, content_type: str, more: dict[str, str] | None = None) -> Headers:
        headers = [("X-Request-ID", self.record.request_id), ("Content-Type", content_type)]
        if self.page is not None:
            headers += self.services.origins.headers(self.page).items()
        if more:
            headers += more.items()
        return headers


def _request_id(sent: str) -> str:
    if sent and _REQUEST_ID.fullmatch(sent):
        return sent
    return f"{_PROCESS}{next(_numbers):08x}"
