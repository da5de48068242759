"""One client's connection: requests in, responses out, flow control, and timeouts.

Theory of operation. The requests of a connection are answered one after the other. Each has a task
of its own, which runs from the request's head to the last byte of its response::

    idle       --first byte-->  head  --head complete-->  answering  --response sent-->  idle
    answering  --response sent before the whole request was read-->  lingering  -->  closed
    any        --the client disconnects, or a timeout-->  closed

A disconnect cancels the task, so that the engine stops generating. One timer per connection limits
each state. Reads and writes only record the time, so that none of them touches the timer.

`SanicProtocol` provides the rest: the set of open connections for the graceful shutdown, and a
``close`` that aborts the connection if the client reads nothing. See docs/adr/0011.
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
from proxy_service.server.budgets import LARGE_RESPONSE_BYTES, Reservation
from proxy_service.server.request import MAX_PIPELINED, IncomingRequest, RequestReader
from proxy_service.server.senders import sender_of
from proxy_service.settings.stack_names import named

# Bytes of bodies and further requests that may be buffered in the proxy; above this, the connection
# stops reading.
_READ_AHEAD_BYTES = 64 * 1024
# A body that arrives more slowly uses up `CLIENT_REQUEST_TIMEOUT`, as one that pauses does. A modem
# was faster.
LOWEST_BYTES_PER_SECOND = 1024
# Seconds for which the rest of a refused request is read and discarded. If the connection were
# closed at once, the client's system would discard the response before the client has read it.
_LINGER_SECONDS = 5.0

_FULL = f"too many connections are open; {named('MAX_CONNECTIONS')} sets the limit"
_FULL_BODY = b'{"error":"%s"}' % _FULL.encode()
_TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s"
) % (len(_FULL_BODY), _FULL_BODY)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}
_NO_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

Headers = list[tuple[str, str]]


@dataclass(slots=True)
class HTTPResponse:
    """A whole response; ``headers`` doesn't include its length."""

    status: int
    headers: Headers
    body: bytes = b""


logger = logging.getLogger("proxy_service.server")


class Application(Protocol):
    """What a connection needs from the application."""

    def answer(self, request: IncomingRequest, stream: "ClientStream") -> Coroutine[Any, Any, None]:
        """Answer a request, even an invalid one, on its stream."""


class ClientStream:
    """The body of one request, and its response, on their connection."""

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
        """What is wrong with the request's head, or None."""
        return None if self._incoming.routable else self._incoming.failure

    @property
    def client_address(self) -> str:
        """The address of the client, or of the reverse proxy in front of this one."""
        return self._connection.client_address

    async def body(self) -> bytes:
        """Wait for the request's body, and return it; only the caller holds it from then on.

        Raises:
            RequestError: It is too large, malformed or too slow.
            Overloaded: All bodies together are too large.
        """
        incoming = self._incoming
        if not incoming.complete and incoming.failure is None:
            if incoming.expects_continue:
                incoming.expects_continue = False
                await self._connection.write(_CONTINUE)
            self._connection.begin_body()
            while not incoming.complete and incoming.failure is None:
                await self._connection.read_more()
            self._connection.end_body()
        if incoming.failure is not None:
            raise incoming.failure
        body, incoming.body = incoming.body, b""
        return body

    def hold(self, size: int) -> None:
        """Reserve ``size`` bytes for what the body has become, instead of its own size.

        Raises:
            Overloaded: There isn't enough room.
        """
        self._connection.hold(self._incoming, size)

    async def send(self, response: HTTPResponse) -> None:
        """Send a whole response.

        Raises:
            Overloaded: It is large, and too many of those wait for slow clients.
        """
        self._connection.reserve_response(len(response.body))
        self.ended = True
        headers, body = response.headers, response.body
        if response.status not in _NO_BODY:
            headers.append(("Content-Length", str(len(body))))
        if self._incoming.method == "HEAD":
            body = b""
        data = self._format_head(response.status, headers)
        if len(body) <= LARGE_RESPONSE_BYTES:
            data, body = data + body, b""  # costs less than two parts
        if not self._connection.write_now(data, body):
            await self._connection.write(data, body)
        self._connection.release_if_read()

    def open(self, status: int, headers: Headers) -> None:
        """Begin a response of unknown length; its head is sent with the first part."""
        if self._incoming.version == "1.1":
            self._chunked = True
            headers.append(("Transfer-Encoding", "chunked"))
        else:
            self.keep_alive = False  # shows an HTTP/1.0 client where the body ends
        self._head = self._format_head(status, headers)

    async def write(self, data: bytes, *, end: bool = False) -> None:
        """Send a part of a response that was opened, once the client's buffer is empty."""
        self.ended = end
        if self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            data = framed + b"0\r\n\r\n" if end else framed
        if self._head:
            data, self._head = self._head + data, b""
        if not self._connection.write_now(data):
            await self._connection.write(data)

    def _format_head(self, status: int, headers: Headers) -> bytes:
        """Return a head. No header has a line break: each is the proxy's own or was parsed."""
        if not self._incoming.complete:
            self.keep_alive = False  # the next bytes may be the rest of this request
        lines = [_STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown"]
        lines += [f"{name}: {value}" for name, value in headers]
        if not self.keep_alive:
            lines.append("Connection: close")
        elif self._incoming.version == "1.0":
            lines.append("Connection: keep-alive")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1", errors="replace")


class ClientConnection(SanicProtocol):
    """One connection, which the server makes for each that it accepts; see the module."""

    __slots__ = (
        "_admitted",
        "_arrival",
        "_idle_seconds",
        "_incoming",
        "_lingering",
        "_open_connections",
        "_quiet_since",
        "_reader",
        "_reading_paused",
        "_request_seconds",
        "_response_room",
        "_shortest_seconds",
        "_stall_seconds",
        "_timer",
        "_turns",
        "_unread",
        "_unsent",
        "_waits_for_turn",
        "_waits_to_write",
    )

    def __init__(self, *, app: Sanic[Any, Any], **parts: Any) -> None:  # noqa: ANN401  Sanic's
        super().__init__(app=app, **parts)
        config = app.config
        self._reader = RequestReader(
            max_body_bytes=config.REQUEST_MAX_SIZE,
            bodies=app.ctx.body_budget,
            heads=app.ctx.head_budget,
            wake=self._arrived,
        )
        self._idle_seconds = float(config.KEEP_ALIVE_TIMEOUT)
        self._request_seconds = float(config.REQUEST_TIMEOUT)
        self._stall_seconds = float(config.RESPONSE_TIMEOUT)
        self._shortest_seconds = min(self._idle_seconds, self._request_seconds, self._stall_seconds)
        self._open_connections = app.ctx.open_connections
        self._response_room = app.ctx.response_room
        self._turns = app.ctx.turns
        self._waits_for_turn = False
        self._unread: Reservation | None = None
        self._waits_to_write = False
        self._admitted = False
        self._unsent = 0
        self._incoming: IncomingRequest | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._lingering = self._reading_paused = False
        self._quiet_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def client_address(self) -> str:
        """The other end's address, without its port."""
        return self.conn_info.client_ip if self.conn_info is not None else ""

    @property
    def closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self.transport is None or self.transport.is_closing()

    def close_if_idle(self) -> bool:
        """Close unless a request is being read or answered; part of the graceful shutdown."""
        if self._task is not None or self._waits_for_turn or self._reader.within_head:
            return False
        self.close()
        return True

    def write_now(self, data: bytes, more: bytes = b"") -> bool:
        """Send data if the client is connected and its buffer is empty; return whether it did."""
        if self.transport is None or self.transport.is_closing() or not self._can_write.is_set():
            return False
        if more:
            self.transport.writelines((data, more))
        else:
            self.transport.write(data)
        self._quiet_since = self.loop.time()
        return True

    def hold(self, incoming: IncomingRequest, size: int) -> None:
        """Reserve ``size`` bytes for what a body has become; see `ClientStream.hold`."""
        self._reader.hold(incoming, size)

    def reserve_response(self, size: int) -> None:
        """Reserve room for a whole response, until the client has read nearly all of it.

        Raises:
            Overloaded: There isn't enough room.
        """
        if size > LARGE_RESPONSE_BYTES:
            self._unread = self._response_room.open(self._reader.sender, self._give_way)
            self._response_room.add(self._unread, size)

    def release_if_read(self) -> None:
        """Release the room of a response unless the client has yet to read it."""
        if not self._has_unread and not self._waits_to_write:
            self._release_response()

    @property
    def _has_unread(self) -> bool:
        """Whether much of what was sent waits for the client.

        The transport tells how much. It may ask to pause writing only in the loop's next round.
        """
        return self.transport is not None and (
            self.transport.get_write_buffer_size() > LARGE_RESPONSE_BYTES
        )

    def _give_way(self) -> None:
        """Close the connection if its client reads too slowly, because others need the room."""
        if self._has_unread or self._waits_to_write:
            self.abort()  # type: ignore[no-untyped-call]  # Sanic's

    def _release_response(self) -> None:
        if self._unread is not None:
            self._unread.release()
            self._unread = None

    def resume_writing(self) -> None:
        """Continue when all that was written is sent."""
        super().resume_writing()  # type: ignore[no-untyped-call]  # Sanic's
        self.release_if_read()
        self._begin_next()

    async def write(self, data: bytes, more: bytes = b"") -> None:
        """Send data, and wait until the client's buffer is empty.

        Raises:
            CancelledError: The client has disconnected.
        """
        self._waits_to_write = True
        try:
            while not self.write_now(data, more):
                if self.closing:
                    raise CancelledError
                await self._can_write.wait()
        finally:
            self._waits_to_write = False

    def begin_body(self) -> None:
        """Start the timeout of a body, which `read_more` then waits for."""
        self._open_connections.waiting(self)
        self._quiet_since = self.loop.time()
        self._resume_reading()

    def end_body(self) -> None:
        """Record that the request is complete, or refused."""
        self._open_connections.answering(self)

    async def read_more(self) -> None:
        """Wait until more of the request's body, or its end, has arrived."""
        self._arrival = self.loop.create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport, and start the timer."""
        super().connection_made(transport)  # type: ignore[no-untyped-call]  # Sanic's
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=0)  # one write waits at most
        self._admitted = self._open_connections.admit(self)
        if not self._admitted and self.transport is not None:
            self.transport.write(_TOO_MANY_CONNECTIONS)
            self.close()
            return
        self._reader.sender = sender_of(self.client_address)
        self._quiet_since = self.loop.time()
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Parse what was read, and resume or start the task that needs it."""
        if self._lingering or not self._admitted:
            return
        reader = self._reader
        if self._arrival is not None:
            self._credit(len(data))
        elif self._task is None and not (reader.within_head or reader.requests):
            self._quiet_since = self.loop.time()  # the timeout of a head covers all of it
        reader.feed(data)
        if self._arrival is not None:
            self._arrived()
        elif not self._begin_next() and (
            len(reader.requests) > MAX_PIPELINED // 2 or reader.buffered > _READ_AHEAD_BYTES
        ):
            self._pause_reading()  # no earlier: a disconnect is noticed only while reading

    def _credit(self, size: int) -> None:
        """Let a body's timeout begin later by the time that ``size`` bytes may take."""
        allowed = self._quiet_since + size / LOWEST_BYTES_PER_SECOND
        self._quiet_since = min(self.loop.time(), allowed)

    def eof_received(self) -> None:
        """Treat a half-closed client as disconnected, as Go's server does."""
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the task of the client that has disconnected, and release its bodies."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._admitted:
            self._open_connections.closed(self)
        self._reader.close()
        self._release_request()
        self._release_response()
        super().connection_lost(exc)  # type: ignore[no-untyped-call]  # Sanic's

    def _begin_next(self) -> bool:
        """Begin the next request if there is one; return whether it has begun, or waits for a turn.

        The response before it must have been sent. Otherwise, the responses to pipelined requests
        would add up for a client that reads none of them. Health checks don't wait for a turn.
        """
        if self._waits_for_turn:
            return True
        requests = self._reader.requests
        if not requests or self._task is not None or not self._can_write.is_set() or self.closing:
            return False
        self._open_connections.answering(self)
        if self._turns.take(requests[0].path):
            self.begin()
        else:
            self._waits_for_turn = True
            self._turns.wait(self)
        return True

    def begin(self) -> None:
        """Begin the next request, whose turn it is."""
        self._waits_for_turn = False
        if self.closing:
            return
        self._incoming = self._reader.requests.popleft()
        self._task = self.loop.create_task(self._answer(self._incoming))

    async def _answer(self, incoming: IncomingRequest) -> None:
        """Answer one request, then begin the next one or close."""
        stream = ClientStream(self, incoming)
        try:
            await cast("Application", self.app).answer(incoming, stream)
        except CancelledError:
            stream.ended = False
        except Exception:
            logger.exception("internal_error")
        finally:
            self._task = None
            self._release_request()
        if self.closing:
            return
        if not (stream.ended and stream.keep_alive):
            self._end(linger=stream.ended and not incoming.complete)
        elif not self._begin_next():
            self._open_connections.waiting(self)
            self._quiet_since = self.loop.time()
            if not self._reader.requests:
                self._resume_reading()

    def _release_request(self) -> None:
        """Release what the request holds; its task may be cancelled before it has begun."""
        if self._incoming is not None:
            self._reader.answered(self._incoming)
            self._incoming = None

    def _end(self, *, linger: bool) -> None:
        """Close; with ``linger``, only after the client has had time to read its response."""
        if linger and self.transport is not None:
            self._lingering = True
            self._open_connections.waiting(self)
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
        """Set the timer to the earliest time at which this state, or a later one, can time out."""
        if self.closing:
            return
        if self._timer is not None:
            self._timer.cancel()
        soonest = self.loop.time() + self._shortest_seconds
        due = min(self._quiet_since + self._timeout_seconds(), soonest)
        self._timer = self.loop.call_at(due, self._tick)

    def _timeout_seconds(self) -> float:
        """Return how many seconds the current state may last without progress."""
        if self._lingering:
            return _LINGER_SECONDS
        if self._task is None:
            return self._request_seconds if self._reader.within_head else self._idle_seconds
        if self._arrival is not None:
            return self._request_seconds
        # The connection to the engine times out a silent engine.
        return inf if self._can_write.is_set() else self._stall_seconds

    def _tick(self) -> None:
        """Time out if the state has lasted too long; set the timer again."""
        now = self.loop.time()
        before = self._unsent
        self._unsent = self.transport.get_write_buffer_size() if self.transport is not None else 0
        self.release_if_read()
        if self._unsent < before:
            self._quiet_since = now  # the client is reading, although slowly
        if self._quiet_since + self._timeout_seconds() <= now:
            self._quiet_since = now
            if self._task is not None and self._arrival is None:
                self._task.cancel()
            elif self._task is not None or self._reader.within_head:
                self._reader.fail(_too_slow(self._request_seconds))
                self._arrived()
                self._begin_next()
            else:
                self.close()
        self._arm()


def _too_slow(seconds: float) -> InvalidRequest:
    return InvalidRequest(
        f"no complete request arrived within {seconds:g} s", status=HTTPStatus.REQUEST_TIMEOUT
    )
