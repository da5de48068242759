"""The engine's socket: the only module that opens a connection.

Everything that the HTTP library raises becomes an error of ours here. The interface is narrow
(`Engine`, `EngineReply`), so that the library can be replaced without anyone noticing; see
docs/adr/0004.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from io import BytesIO
from typing import Protocol

import aiohttp

from proxy_service.errors import EngineProtocolError, EngineTimeout, EngineUnavailable
from proxy_service.settings import ProxySettings

# Bytes; the library reads ahead up to twice this before it stops the engine's sending.
_READ_BUFFER = 64 * 1024
# Seconds; how long the rest of an answered stream may take before its connection is dropped.
_DRAIN_SECONDS = 0.25
# Bytes; a longer request body is handed over as a file, which the library sends piece by piece.
_LARGE_BODY = 1024 * 1024
# Bytes; far above any reply but a stream, which is never read as a whole.
MAX_REPLY_BYTES = 256 * 1024 * 1024


class EngineReply(Protocol):
    """An answer whose head has arrived."""

    status: int
    content_type: str

    def chunks(self) -> AsyncIterator[bytes]:
        """Give the body as it arrives, in pieces of any size."""

    async def body(self) -> bytes:
        """Give the whole body."""

    async def drain(self) -> None:
        """Read the little that is left, so that the connection can serve again."""


class Engine(Protocol):
    """A way to the engine."""

    def request(
        self, method: str, path: str, *, body: bytes | None = None, request_id: str = ""
    ) -> AbstractAsyncContextManager[EngineReply]:
        """Send a request and wait for the head of the answer.

        Leaving the context before the body's end closes the connection, by which the engine
        stops generating.

        Raises:
            EngineUnavailable: No connection could be made.
            EngineTimeout: The engine was silent for too long.
            EngineProtocolError: The connection broke, or what came is not HTTP.
        """

    async def start(self) -> None:
        """Open what the client needs; called once, within the event loop."""

    async def stop(self) -> None:
        """Close every connection."""


class AiohttpEngine:
    """An `Engine` on aiohttp."""

    def __init__(self, settings: ProxySettings) -> None:
        self._url = settings.engine_url
        self._silence_seconds = settings.engine_silence_timeout_seconds
        self._timeout = aiohttp.ClientTimeout(
            total=None,
            connect=None,
            sock_connect=settings.engine_connect_timeout_seconds,
            sock_read=self._silence_seconds,
        )
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the connection pool, without a limit below the number of streams."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            skip_auto_headers=("User-Agent",),
        )

    async def stop(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def request(
        self, method: str, path: str, *, body: bytes | None = None, request_id: str = ""
    ) -> AsyncIterator[EngineReply]:
        """Send a request; see `Engine.request`."""
        if self._session is None:
            raise EngineUnavailable("the proxy has not finished starting; try again")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if request_id:
            headers["X-Request-ID"] = request_id
        data = BytesIO(body) if body is not None and len(body) >= _LARGE_BODY else body
        with self._own_errors():
            response = await self._session.request(
                method, self._url + path, data=data, headers=headers, allow_redirects=False
            )
        try:
            yield _AiohttpReply(response, self)
        finally:
            # Closes the connection unless the body was read to its end.
            response.close()

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except aiohttp.ConnectionTimeoutError as error:
            raise EngineUnavailable(self._unreachable("it does not answer")) from error
        except (TimeoutError, aiohttp.ServerTimeoutError) as error:
            raise EngineTimeout(
                f"the engine was silent for {self._silence_seconds:g} s "
                "(ENGINE_SILENCE_TIMEOUT sets how long it may be)"
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise EngineUnavailable(self._unreachable(str(error.os_error))) from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise EngineProtocolError(
                f"the connection to the engine broke: {type(error).__name__}; see the engine's log"
            ) from error

    def _unreachable(self, reason: str) -> str:
        return (
            f"the engine at {self._url} can't be reached: {reason}; "
            "check that it runs and that MISTRAL_URL is right"
        )

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Turn what the library raises within into errors of ours."""
        with self._own_errors():
            yield


class _AiohttpReply:
    """An `EngineReply` on aiohttp."""

    def __init__(self, response: aiohttp.ClientResponse, engine: AiohttpEngine) -> None:
        self._response = response
        self._engine = engine
        self.status = response.status
        self.content_type = response.headers.get("Content-Type", "")

    async def chunks(self) -> AsyncIterator[bytes]:
        with self._engine.own_errors():
            async for data in self._response.content.iter_any():
                yield data

    async def body(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for data in self.chunks():
            size += len(data)
            if size > MAX_REPLY_BYTES:
                raise EngineProtocolError(f"the engine's reply is above {MAX_REPLY_BYTES} bytes")
            parts.append(data)
        return b"".join(parts)

    async def drain(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for _ in self._response.content.iter_any():
                    pass
        except (TimeoutError, aiohttp.ClientError, ConnectionError):
            return
