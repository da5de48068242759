"""The HTTP client for the engine: the only module that opens a connection.

The interface is narrow (`Engine`, `EngineReply`). Our own client on `httptools` implements it,
because the client is the largest part of the proxy's cost; see docs/adr/0009.
A request uses an idle connection or opens a new one. The number of connections has no limit,
because each stream needs its own.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

from proxy_service.clock import Clock
from proxy_service.engines.connection import READ_BYTES, Connection, Parts, Pool, Timeout
from proxy_service.errors import EngineProtocolError, EngineUnavailable, Overloaded, ProxyError
from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.stack_names import named
from proxy_service.telemetry.instruments import Histogram
from proxy_service.telemetry.metrics import ProxyMetrics

MIB = 1024 * 1024
# Bytes of a reply that is read as a whole: far above any completion, error or list of models.
# Decoded, it can take twenty times as much memory.
MAX_REPLY_BYTES = 16 * MIB
# Bytes of a reply with embeddings: 4,000 vectors of 1,024 numbers.
MAX_EMBEDDINGS_BYTES = 48 * MIB
# Bytes that the proxy may keep of all replies together: of whole ones and the vectors made of them,
# and of streams as far as they can't be passed on yet.
KEPT_REPLIES_BYTES = 128 * MIB
# Bytes that it may always keep of a reply, so that large ones can't lock out ordinary ones.
ORDINARY_REPLY_BYTES = 64 * 1024
_HTTP_PORT = 80


class EngineReply(Protocol):
    """A reply whose head has arrived."""

    @property
    def status(self) -> int:
        """Return the HTTP status."""

    @property
    def content_type(self) -> str:
        """Return the Content-Type header, or an empty string."""

    @property
    def waited(self) -> float:
        """Return how many seconds the proxy has waited for the engine so far."""

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it arrives: each item is all data since the last one."""

    async def body(self, limit: int = MAX_REPLY_BYTES) -> bytes:
        """Return the whole body, of at most ``limit`` bytes.

        Raises:
            EngineProtocolError: It is longer.
            Overloaded: See `keep`.
        """

    def keep(self, size: int) -> None:
        """Reserve room for ``size`` bytes of this reply, instead of what was reserved before.

        Raises:
            Overloaded: All replies together are too large.
        """

    def discard_rest(self) -> None:
        """Discard the rest of the body, which should be short, and keep the connection."""


class Engine(Protocol):
    """A client for one engine."""

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        request_id: str = "",
        streamed: bool = False,
    ) -> AbstractAsyncContextManager[EngineReply]:
        """Send a request and wait for the head of its reply.

        Unless the rest is discarded, leaving the context before the end of the body closes the
        connection, so that the engine stops generating.

        Args:
            method: The HTTP method.
            path: The path below the engine's URL.
            body: A JSON body.
            request_id: Sent as ``X-Request-ID``.
            streamed: Whether the request asks for a stream. Silence within a stream is a fault;
                before a reply in one piece, the engine is silent until the reply is complete.

        Raises:
            EngineUnavailable: No connection could be opened.
            EngineTimeout: The engine was silent for too long.
            EngineProtocolError: The connection broke, or the reply isn't HTTP.
        """

    def interrupt(self, error: ProxyError) -> None:
        """End all running requests with ``error``, and refuse new ones with it."""

    async def stop(self) -> None:
        """Close every connection."""


class HttpEngine:
    """An `Engine` over plain HTTP/1.1."""

    def __init__(self, settings: ProxySettings, metrics: ProxyMetrics, clock: Clock) -> None:
        self._monotonic = clock.monotonic
        self._settings = settings
        self._metrics = metrics
        parts = urlsplit(settings.engine_url)
        self._host = parts.hostname or ""
        self._port = parts.port or _HTTP_PORT
        self._base_path = parts.path
        self._fixed_headers = f"Host: {parts.netloc.rpartition('@')[2]}\r\nAccept: */*\r\n"
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._fixed_headers += f"Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"
        self._pool = Pool()
        self._silence_timeout = Timeout(
            settings.engine_silence_timeout_seconds, named("ENGINE_SILENCE_TIMEOUT")
        )
        self._reply_timeout = Timeout(
            settings.engine_reply_timeout_seconds, named("ENGINE_REPLY_TIMEOUT")
        )
        self._interruption: ProxyError | None = None
        self._room_left = KEPT_REPLIES_BYTES

    def reserve(self, size: int) -> None:
        """Reserve room for ``size`` more bytes of a reply; a negative size releases it.

        Raises:
            Overloaded: There isn't enough.
        """
        if size > self._room_left:
            raise Overloaded("the replies to all pending requests together are too large")
        self._room_left -= size

    def interrupt(self, error: ProxyError) -> None:
        """End all running requests; see `Engine.interrupt`."""
        self._interruption = error
        self._pool.fail(error)

    async def stop(self) -> None:
        """Close every connection."""
        self._pool.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        request_id: str = "",
        streamed: bool = False,
    ) -> "_Call":
        """Send a request; see `Engine.request`."""
        duration = self._metrics.upstream_duration(path)
        read_timeout = self._silence_timeout if streamed else self._reply_timeout
        head = f"{method} {self._base_path}{path} HTTP/1.1\r\n{self._fixed_headers}"
        if request_id:
            head += f"X-Request-ID: {request_id}\r\n"
        if body is None:
            request = f"{head}\r\n".encode("latin-1")
            return _Call(self, (request,), duration, read_timeout, safe=method == "GET")
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        request = head.encode("latin-1")
        if len(body) <= READ_BYTES:
            return _Call(self, (request + body,), duration, read_timeout, safe=False)
        return _Call(self, (request, body), duration, read_timeout, safe=False)

    async def send(self, request: Parts, read_timeout: Timeout, *, safe: bool) -> Connection:
        """Send ``request`` and wait for the head of its reply; return the connection.

        The pool doesn't return a connection that the engine has closed. The engine can still
        close one while the request is on its way. Then only a ``safe`` request is sent again, on
        a new connection: the engine may have begun to work on any other.
        """
        if self._interruption is not None:
            raise self._interruption
        connection = self._pool.take()
        if connection is not None:
            try:
                return await _send_over(connection, request, read_timeout)
            except EngineProtocolError:
                if not safe or not connection.reader.untouched:
                    raise
        connection = await self._connect()
        if self._interruption is not None:  # the grace period ended while it was being opened
            connection.close()
            raise self._interruption
        return await _send_over(connection, request, read_timeout)

    async def _connect(self) -> Connection:
        """Open a connection; try once more if the first attempt fails at once."""
        try:
            async with asyncio.timeout(self._settings.engine_connect_timeout_seconds):
                try:
                    return await self._open()
                except OSError:
                    return await self._open()
        except TimeoutError as error:
            raise self._unreachable("it doesn't answer") from error
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from error

    async def _open(self) -> Connection:
        idle_seconds = self._settings.engine_keep_alive_seconds
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(self._pool, idle_seconds=idle_seconds), self._host, self._port
        )
        return connection

    def _unreachable(self, reason: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"the engine at {self._settings.shown_engine_url} can't be reached: {reason}; "
            f"check that it is running and that {named('MISTRAL_URL')} is right"
        )


async def _send_over(connection: Connection, request: Parts, read_timeout: Timeout) -> Connection:
    try:
        connection.send(request, read_timeout)
        while not connection.reader.has_head:
            await connection.receive()
    except (ProxyError, asyncio.CancelledError):
        connection.close()
        raise
    return connection


class _Call:
    """One request: a context that returns itself, as an `EngineReply`.

    ``duration`` observes once, however the request ends, how many seconds the proxy waited for
    the engine. The time between reads, when the proxy translates and its client reads, doesn't
    count.
    """

    __slots__ = (
        *("_connection", "_discards_rest", "_duration", "_engine", "_kept", "_monotonic"),
        *("_read_timeout", "_request", "_safe", "content_type", "status", "waited"),
    )

    def __init__(
        self,
        engine: HttpEngine,
        request: Parts,
        duration: Histogram,
        read_timeout: Timeout,
        *,
        safe: bool,
    ) -> None:
        self._engine = engine
        self._monotonic = engine._monotonic  # noqa: SLF001  a call is a part of its engine
        self._request = request
        self._duration = duration
        self._read_timeout = read_timeout
        self._safe = safe
        self.waited = 0.0
        self._connection: Connection
        self._discards_rest = False
        self._kept = ORDINARY_REPLY_BYTES
        self.status = 0
        self.content_type = ""

    async def __aenter__(self) -> Self:
        since = self._monotonic()
        try:
            self._connection = await self._engine.send(
                self._request, self._read_timeout, safe=self._safe
            )
        except BaseException:
            self._duration.observe(self._monotonic() - since)
            raise
        self.waited = self._monotonic() - since
        self._request = ()
        self.status = self._connection.reader.status
        self.content_type = self._connection.reader.content_type
        return self

    async def __aexit__(self, *_: object) -> None:
        self._duration.observe(self.waited)
        self.keep(0)
        if self._discards_rest:
            self._connection.drain()
        else:
            self._connection.release()

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over the body as it arrives."""
        return self

    def __aiter__(self) -> Self:
        """Return itself; a generator would cost more per read than handling most reads costs."""
        return self

    async def __anext__(self) -> bytes:
        """Wait for more of the body."""
        reader = self._connection.reader
        while not (data := reader.take()):
            if reader.complete:
                raise StopAsyncIteration
            await self._receive()
        return data

    async def body(self, limit: int = MAX_REPLY_BYTES) -> bytes:
        """Return the whole body; see `EngineReply.body`."""
        reader = self._connection.reader
        parts = [reader.take()]
        size = len(parts[0])
        while not reader.complete:
            await self._receive()
            parts.append(reader.take())
            size += len(parts[-1])
            if size > limit:
                raise EngineProtocolError(
                    f"the engine's reply is longer than {limit // MIB} MiB; "
                    "ask for less in one request"
                )
            self.keep(size)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def keep(self, size: int) -> None:
        """Reserve room for ``size`` bytes of this reply; see `EngineReply.keep`."""
        size = max(size, ORDINARY_REPLY_BYTES)
        if size != self._kept:
            self._engine.reserve(size - self._kept)
            self._kept = size

    async def _receive(self) -> None:
        since = self._monotonic()
        try:
            await self._connection.receive()
        finally:
            self.waited += self._monotonic() - since

    def discard_rest(self) -> None:
        """Discard the rest of the body, and keep the connection."""
        self._discards_rest = True
