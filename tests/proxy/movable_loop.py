"""The proxy's event loop with a time that tests can move, and counts of what it has read."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple
from weakref import WeakKeyDictionary

import uvloop

from tests.proxy.settling_loop import settle

_Args = TypeVarTuple("_Args")


class _CountedReads(asyncio.BufferedProtocol):
    """Passes everything on to a protocol, and counts the bytes that it has handled."""

    def __init__(self, protocol: asyncio.BufferedProtocol, read_bytes: Counter[int]) -> None:
        self.protocol = protocol
        self._read_bytes = read_bytes
        self._port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._port = transport.get_extra_info("sockname")[1]
        self._read_bytes[self._port] = 0
        self.protocol.connection_made(transport)

    def get_buffer(self, sizehint: int) -> Any:  # noqa: ANN401  a buffer, for which 3.11 has no type
        return self.protocol.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self.protocol.buffer_updated(nbytes)
        self._read_bytes[self._port] += nbytes

    def eof_received(self) -> bool | None:
        return self.protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self.protocol.pause_writing()

    def resume_writing(self) -> None:
        self.protocol.resume_writing()


class _Timer:
    """A callback with a due time; ``done`` is whether it was called."""

    def __init__(
        self, callback: Callable[..., object], args: tuple[object, ...], due: float
    ) -> None:
        self._callback, self._args, self.due, self.done = callback, args, due, False

    def __call__(self) -> None:
        self.done = True
        self._callback(*self._args)


class MovableLoop(uvloop.Loop):
    """The proxy's event loop, whose time a test can move forward.

    ``read_from_engine`` counts the bytes that the connections to the engine have read, by their
    own ports. ``read_from_clients`` is for the clients' connections, by the clients' ports.
    """

    scheduled = 0

    def __init__(self) -> None:
        super().__init__()
        self.read_from_engine = Counter[int]()
        self.read_from_clients = Counter[int]()
        self._ahead_seconds = 0.0
        self._timers = WeakKeyDictionary[asyncio.TimerHandle, _Timer]()

    def time(self) -> float:
        return super().time() + self._ahead_seconds

    def call_soon(
        self,
        callback: Callable[[*_Args], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.Handle:
        self.scheduled += 1
        return super().call_soon(callback, *args, context=context)

    async def settle(self) -> None:
        """Wait until all callbacks that are due were called, and those that they schedule."""
        await settle(self)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Args], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call a function later; uvloop's ``call_at`` comes here, too."""
        timer = _Timer(callback, args, self.time() + delay)
        handle: asyncio.TimerHandle = super().call_later(delay, timer, context=context)
        self._timers[handle] = timer
        return handle

    async def create_connection(
        self,
        protocol_factory: Callable[[], Any],
        *args: Any,  # noqa: ANN401  uvloop's
        **options: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        transport, counted = await super().create_connection(
            lambda: _CountedReads(protocol_factory(), self.read_from_engine), *args, **options
        )
        return transport, counted.protocol

    def put_forward(self, seconds: float) -> None:
        """Move the time forward, and call the timers that are then due."""
        self._ahead_seconds += seconds
        for handle, timer in list(self._timers.items()):
            if not (timer.done or handle.cancelled()) and timer.due <= self.time():
                handle.cancel()
                timer()
