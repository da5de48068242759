"""One client's connection: requests in, answers out, flow control, and patience.

Theory of operation. Requests of a connection are answered one after the other, each by a task
of its own that lives from the request's head to the last byte of its answer::

    waiting  --first byte-->  head  --complete-->  answering  --answered-->  waiting
    answering  --answered before all of the request was read-->  lingering  -->  closed
    any  --the client is gone, or patience has run out-->  closed

Whoever hangs up cancels the task, by which the engine stops generating. One timer per connection
bounds each state; bytes only note the time, so that none of them touches the timer.

The framework's part is what `SanicProtocol` has: the set of open connections, by which the
server shuts down gracefully, and closing that ends in an abort when a client takes nothing.
"""

import asyncio
import logging
from asyncio import CancelledError
from collections.abc import Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from typing import Any, Protocol, cast

from sanic import Sanic
from sanic.server.protocols.base_protocol import SanicProtocol

from proxy_service.errors import InvalidRequest, ProxyError
from proxy_service.server.request import MAX_PIPELINED, IncomingRequest, RequestReader

# Bytes that may wait while nobody asks for them, bodies and further requests alike; with more
# than this the client has to wait.
_READ_AHEAD_BYTES = 64 * 1024
# Seconds for which the rest of a refused request is taken and dropped. Closing at once would
# make the client's system throw away the answer that it has not read yet.
_LINGER_SECONDS = 5.0

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
_NO_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class HTTPResponse:
    """A whole answer; its length is no part of ``headers``."""

    status: int
    headers: Headers
    body: bytes = b""


logger = logging.getLogger("proxy_service.server.connection")


class Application(Protocol):
    """What a connection asks of the application."""

    def answer(self, request: IncomingRequest, stream: "ClientStream") -> Coroutine[Any, Any, None]:
        """Answer a request, whatever is wrong with it, through its stream."""


class ClientStream:
    """One request's body and its answer, on the connection that they travel over."""

    __slots__ = ("_chunked", "_connection", "_head", "_incoming", "ended", "keep_alive")

    def __init__(self, connection: "ClientConnection", incoming: IncomingRequest) -> None:
        self._connection = connection
        self._incoming = incoming
        self._chunked = False
        self._head = b""
        self.keep_alive = incoming.keep_alive
        self.ended = False

    @property
    def unroutable(self) -> ProxyError | None:
        """What is wrong with a request whose head can't be used; None when it can."""
        return None if self._incoming.routable else self._incoming.failure

    async def body(self) -> bytes:
        """Give the request's body, waiting for it.

        Raises:
            RequestError: It is too large, malformed or too slow.
            Overloaded: All bodies together are too large.
        """
        incoming = self._incoming
        if not incoming.complete and incoming.failure is None:
            if incoming.expects_continue:
                incoming.expects_continue = False
                await self._connection.write(_CONTINUE)
            while not incoming.complete and incoming.failure is None:
                await self._connection.read_more()
        if incoming.failure is not None:
            raise incoming.failure
        return incoming.body

    async def send(self, response: HTTPResponse) -> None:
        """Send a whole answer."""
        self.ended = True
        headers, body = response.headers, response.body
        if response.status not in _NO_BODY:
            headers.append(("Content-Length", str(len(body))))
        if self._incoming.method == "HEAD":
            body = b""
        data = self._format_head(response.status, headers) + body
        if not self._connection.write_now(data):
            await self._connection.write(data)

    def open(self, status: int, headers: Headers) -> None:
        """Begin an answer whose length is not known; its head leaves with the first part."""
        if self._incoming.version == "1.1":
            self._chunked = True
            headers.append(("Transfer-Encoding", "chunked"))
        else:
            self.keep_alive = False  # by which HTTP/1.0 sees where the body ends
        self._head = self._format_head(status, headers)

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Send a part of an answer that was opened; waits while the client's buffer is full."""
        self.ended = end
        if self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            data = framed + b"0\r\n\r\n" if end else framed
        if self._head:
            data, self._head = self._head + data, b""
        if not self._connection.write_now(data):
            await self._connection.write(data)

    def _format_head(self, status: int, headers: Headers) -> bytes:
        """Write a head. Names and values hold no line break: they are ours, or were parsed."""
        if not self._incoming.complete:
            self.keep_alive = False  # what comes next may be the rest of this request
        lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown"]
        lines += [f"{name}: {value}" for name, value in headers]
        if not self.keep_alive:
            lines.append("Connection: close")
        elif self._incoming.version == "1.0":
            lines.append("Connection: keep-alive")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1", errors="replace")


class ClientConnection(SanicProtocol):
    """See the module; made by the server for each connection that it accepts."""

    __slots__ = (
        "_arrival",
        "_idle_seconds",
        "_incoming",
        "_lingering",
        "_quiet_since",
        "_reader",
        "_reading_paused",
        "_request_seconds",
        "_shortest_seconds",
        "_stall_seconds",
        "_timer",
        "_unsent",
    )

    def __init__(self, *, app: Sanic[Any, Any], **parts: Any) -> None:  # noqa: ANN401  the server's
        super().__init__(app=app, **parts)
        config = app.config
        self._reader = RequestReader(
            max_body_bytes=config.REQUEST_MAX_SIZE, budget=app.ctx.body_budget
        )
        self._idle_seconds = float(config.KEEP_ALIVE_TIMEOUT)
        self._request_seconds = float(config.REQUEST_TIMEOUT)
        self._stall_seconds = float(config.RESPONSE_TIMEOUT)
        self._shortest_seconds = min(self._idle_seconds, self._request_seconds, self._stall_seconds)
        self._unsent = 0
        self._incoming: IncomingRequest | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._lingering = self._reading_paused = False
        self._quiet_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.transport is None or self.transport.is_closing()

    def close_if_idle(self) -> bool:
        """Close unless a request is being read or answered; part of a graceful shutdown."""
        if self._task is not None or self._reader.within_head:
            return False
        self.close()
        return True

    def write_now(self, data: bytes) -> bool:
        """Send bytes unless that would have to wait, or the client is gone; tells whether."""
        if self.transport is None or self.transport.is_closing() or not self._can_write.is_set():
            return False
        self.transport.write(data)
        self._quiet_since = self.loop.time()
        return True

    async def write(self, data: bytes) -> None:
        """Send bytes, waiting while the client's buffer is full.

        Raises:
            CancelledError: The client is gone.
        """
        while not self.write_now(data):
            if self.closing:
                raise CancelledError
            await self._can_write.wait()

    async def read_more(self) -> None:
        """Wait until more of the request's body has come, or its end."""
        self._resume_reading()
        self._arrival = self.loop.create_future()
        self._quiet_since = self.loop.time()
        try:
            await self._arrival
        finally:
            self._arrival = None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(transport)  # type: ignore[no-untyped-call]  # the framework's
        self._quiet_since = self.loop.time()
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Take what was read."""
        if self._lingering:
            return
        reader = self._reader
        if not reader.within_head:
            self._quiet_since = self.loop.time()  # a head has its time as a whole
        reader.feed(data)
        if self._task is None:
            if reader.requests:
                self._begin()
        elif self._arrival is not None:
            self._arrived()
        elif len(reader.requests) > MAX_PIPELINED // 2 or reader.buffered > _READ_AHEAD_BYTES:
            self._pause_reading()  # who leaves is noticed only while something is read

    def eof_received(self) -> None:
        """Take whoever will send no more as gone, as Go's server does; closing has its limit."""
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the task of whoever is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for incoming in (self._incoming, *self._reader.requests):
            if incoming is not None:
                self._reader.release(incoming)
        self._incoming = None
        super().connection_lost(exc)  # type: ignore[no-untyped-call]  # the framework's

    def _begin(self) -> None:
        self._incoming = self._reader.requests.popleft()
        self._task = self.loop.create_task(self._answer(self._incoming))

    async def _answer(self, incoming: IncomingRequest) -> None:
        """Have one request answered, then see to the next one."""
        stream = ClientStream(self, incoming)
        try:
            await cast("Application", self.app).answer(incoming, stream)
        except CancelledError:
            stream.ended = False
        except Exception:
            logger.exception("internal_error")
        finally:
            self._task = self._incoming = None
            self._reader.release(incoming)
        if self.closing:
            return
        if not (stream.ended and stream.keep_alive):
            self._end(linger=stream.ended and not incoming.complete)
        elif self._reader.requests:
            self._begin()
        else:
            self._quiet_since = self.loop.time()
            self._resume_reading()

    def _end(self, *, linger: bool) -> None:
        """Close; while the client may still be sending, only after it has read its answer."""
        if linger and self.transport is not None:
            self._lingering = True
            self.transport.write_eof()
            self._quiet_since = self.loop.time()
            self._resume_reading()
            self._arm()
        else:
            self.close()

    def _pause_reading(self) -> None:
        if not self._reading_paused and self.transport is not None:
            self._reading_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and self.transport is not None:
            self._reading_paused = False
            self.transport.resume_reading()

    def _arrived(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _arm(self) -> None:
        """Look again when patience may be at its end, in this state or any that may follow."""
        if self.closing:
            return
        if self._timer is not None:
            self._timer.cancel()
        soonest = self.loop.time() + self._shortest_seconds
        due = min(self._quiet_since + self._timeout_seconds(), soonest)
        self._timer = self.loop.call_at(due, self._tick)

    def _timeout_seconds(self) -> float:
        """Give the seconds that the present state may last without anything happening."""
        if self._lingering:
            return _LINGER_SECONDS
        if self._task is None:
            return self._request_seconds if self._reader.within_head else self._idle_seconds
        if self._arrival is not None:
            return self._request_seconds
        # How long the engine may be silent is the engine's connection to judge.
        return inf if self._can_write.is_set() else self._stall_seconds

    def _tick(self) -> None:
        now = self.loop.time()
        before = self._unsent
        self._unsent = self.transport.get_write_buffer_size() if self.transport is not None else 0
        if self._unsent < before:
            self._quiet_since = now  # the client takes something, if slowly
        if self._quiet_since + self._timeout_seconds() <= now:
            self._quiet_since = now
            if self._task is not None and self._arrival is None:
                self._task.cancel()
            elif self._task is not None or self._reader.within_head:
                self._reader.fail(_too_slow(self._request_seconds))
                self._arrived()
                if self._task is None:
                    self._begin()
            else:
                self.close()
        self._arm()


def _too_slow(seconds: float) -> InvalidRequest:
    return InvalidRequest(
        f"no whole request came within {seconds:g} s", status=HTTPStatus.REQUEST_TIMEOUT
    )
