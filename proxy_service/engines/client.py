"""The way to the engine: the only place where a connection is opened.

The interface is narrow (`Engine`, `EngineReply`). Behind it stands a client of our own on
`httptools`, because the client is the largest part of what the proxy costs; see docs/adr/0009.
A request takes an idle connection or opens one, without a limit: each stream needs its own.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Protocol, Self
from urllib.parse import unquote, urlsplit

from proxy_service.engines.connection import Connection, Pool, Timeout
from proxy_service.errors import EngineProtocolError, EngineUnavailable, ProxyError
from proxy_service.settings import ProxySettings
from proxy_service.telemetry.instruments import Histogram
from proxy_service.telemetry.metrics import ProxyMetrics

# Bytes; far above any reply but a stream, which is never read as a whole.
MAX_REPLY_BYTES = 256 * 1024 * 1024
_HTTP_PORT = 80


class EngineReply(Protocol):
    """An answer whose head has arrived."""

    @property
    def status(self) -> int:
        """Give the HTTP status."""

    @property
    def content_type(self) -> str:
        """Give the Content-Type header; empty when there is none."""

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Give the body as it arrives: all that has come since the last piece, and no less."""

    async def body(self) -> bytes:
        """Give the whole body."""

    def discard_rest(self) -> None:
        """Say that the rest does not matter: it should be little, and keeps the connection."""


class Engine(Protocol):
    """A way to the engine."""

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        request_id: str = "",
        streamed: bool = False,
    ) -> AbstractAsyncContextManager[EngineReply]:
        """Send a request and wait for the head of the answer.

        ``streamed`` tells that the answer was asked for as a stream, within which silence is
        a fault. Before one that comes in one piece the engine is silent until it has it all.

        Leaving the context before the body's end closes the connection, by which the engine
        stops generating, unless the reply was let go.

        Raises:
            EngineUnavailable: No connection could be made.
            EngineTimeout: The engine was silent for too long.
            EngineProtocolError: The connection broke, or what came is not HTTP.
        """

    def interrupt(self, error: ProxyError) -> None:
        """End what runs with ``error``, and begin nothing any more."""

    async def stop(self) -> None:
        """Close every connection."""


class HttpEngine:
    """An `Engine` over plain HTTP/1.1."""

    def __init__(self, settings: ProxySettings, metrics: ProxyMetrics) -> None:
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
            settings.engine_silence_timeout_seconds, "ENGINE_SILENCE_TIMEOUT"
        )
        self._reply_timeout = Timeout(settings.engine_reply_timeout_seconds, "ENGINE_REPLY_TIMEOUT")
        self._interruption: ProxyError | None = None

    def interrupt(self, error: ProxyError) -> None:
        """End what runs; see `Engine.interrupt`."""
        self._interruption = error
        self._pool.fail(error)

    async def stop(self) -> None:
        """Close every connection."""
        self._pool.close()

    @property
    def idle_connections(self) -> int:
        """How many connections wait for a request."""
        return self._pool.idle_count

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
            return _Call(self, request, duration, read_timeout, safe=method == "GET")
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return _Call(self, head.encode("latin-1") + body, duration, read_timeout, safe=False)

    async def send(self, request: bytes, read_timeout: Timeout, *, safe: bool) -> Connection:
        """Send ``request`` and wait for the head of its answer.

        A kept connection that the engine has closed is seen before it is used. The engine may
        still close one as the request leaves: then only a ``safe`` one goes over a new
        connection, for the engine may have begun with any other.
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
        if self._interruption is not None:  # the grace ended while the connection was opened
            connection.close()
            raise self._interruption
        return await _send_over(connection, request, read_timeout)

    async def _connect(self) -> Connection:
        """Open a connection, trying a second time when that fails at once."""
        try:
            async with asyncio.timeout(self._settings.engine_connect_timeout_seconds):
                try:
                    return await self._open()
                except OSError:
                    return await self._open()
        except TimeoutError as error:
            raise self._unreachable("it does not answer") from error
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
            "check that it runs and that MISTRAL_URL is right"
        )


async def _send_over(connection: Connection, request: bytes, read_timeout: Timeout) -> Connection:
    try:
        connection.send(request, read_timeout)
        while not connection.reader.has_head:
            await connection.receive()
    except (ProxyError, asyncio.CancelledError):
        connection.close()
        raise
    return connection


class _Call:
    """One request: a context whose value is itself, as an `EngineReply`.

    ``duration`` observes how long it was waited for, once, whatever its end. The time between,
    in which the proxy translates and its client reads, is not the engine's.
    """

    __slots__ = (
        *(
            "_connection",
            "_duration",
            "_engine",
            "_discard_rest",
            "_read_timeout",
            "_request",
            "_safe",
        ),
        *("_waited", "content_type", "status"),
    )

    def __init__(
        self,
        engine: HttpEngine,
        request: bytes,
        duration: Histogram,
        read_timeout: Timeout,
        *,
        safe: bool,
    ) -> None:
        self._engine = engine
        self._request = request
        self._duration = duration
        self._read_timeout = read_timeout
        self._safe = safe
        self._waited = 0.0
        self._connection: Connection
        self._discard_rest = False
        self.status = 0
        self.content_type = ""

    async def __aenter__(self) -> Self:
        since = monotonic()
        try:
            self._connection = await self._engine.send(
                self._request, self._read_timeout, safe=self._safe
            )
        except BaseException:
            self._duration.observe(monotonic() - since)
            raise
        self._waited = monotonic() - since
        self._request = b""
        self.status = self._connection.reader.status
        self.content_type = self._connection.reader.content_type
        return self

    async def __aexit__(self, *_: object) -> None:
        self._duration.observe(self._waited)
        if self._discard_rest:
            self._connection.drain()
        else:
            self._connection.release()

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Give the body as it arrives."""
        return self

    def __aiter__(self) -> Self:
        """Give itself; a generator would cost more than most pieces do."""
        return self

    async def __anext__(self) -> bytes:
        """Wait for the next piece of the body."""
        reader = self._connection.reader
        while not (data := reader.take()):
            if reader.complete:
                raise StopAsyncIteration
            await self._receive()
        return data

    async def body(self) -> bytes:
        """Give the whole body."""
        reader = self._connection.reader
        parts = [reader.take()]
        size = len(parts[0])
        while not reader.complete:
            await self._receive()
            parts.append(reader.take())
            size += len(parts[-1])
            if size > MAX_REPLY_BYTES:
                raise EngineProtocolError(f"the engine's reply is above {MAX_REPLY_BYTES} bytes")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _receive(self) -> None:
        since = monotonic()
        try:
            await self._connection.receive()
        finally:
            self._waited += monotonic() - since

    def discard_rest(self) -> None:
        """Say that the rest does not matter."""
        self._discard_rest = True
