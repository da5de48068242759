"""One connection to the engine: bytes in and out, flow control, silence, and the pool.

Theory of operation. A connection is in one of three uses::

    busy  --release, response complete-->  idle  --send-->  busy
    busy  --let_go-->  letting go  --rest has come-->  idle

and closed from any of them. It never holds more of a body than `READ_AHEAD_BYTES` and one
read: then it stops reading, and the engine's own buffers fill. One timer per connection bounds
silence when busy, idleness when idle and the wait for the rest when letting go; bytes only
note the time, so that none of them touches the timer.
"""

import asyncio
import select
from enum import Enum
from typing import NamedTuple, cast

from proxy_service.engines.response import ResponseReader
from proxy_service.errors import EngineProtocolError, EngineTimeout, ProxyError

# Bytes of a body that nobody has taken; with more than this the engine has to wait.
READ_AHEAD_BYTES = 64 * 1024
# Bytes that one read may bring.
READ_BYTES = 64 * 1024
# Bytes that all readers together may be given in one round of the event loop.
ROUND_BYTES = 64 * 1024
# Seconds; how long the rest of an answered stream may take before its connection is dropped.
_REST_SECONDS = 0.25


class Timeout(NamedTuple):
    """How long the engine may be silent, and the variable that says so."""

    seconds: float
    variable: str


class State(Enum):
    """What a connection is for at the moment."""

    BUSY = "busy"
    DRAINING = "draining"
    IDLE = "idle"


class ReadScheduler:
    """Lets readers go on when something has come for them, in one round only so many.

    What they do in one round of the event loop is done before anyone else is served, and who
    connects, asks or scrapes waits for several rounds. A connection whose reader has to wait
    for a later one is not read meanwhile, so that the next read brings the more.
    """

    def __init__(self) -> None:
        self._waiting: dict[Connection, None] = {}
        self._left = 0
        self._counting = False

    def schedule(self, connection: "Connection") -> None:
        """Wake the connection's reader, now or in a later round."""
        if not self._counting:
            self._begin_round()
        if self._left > 0:
            self._wake(connection)
        else:
            connection.pause_reading()
            self._waiting[connection] = None

    def _begin_round(self) -> None:
        self._counting = True
        self._left = ROUND_BYTES
        asyncio.get_running_loop().call_soon(self._end_round)

    def _end_round(self) -> None:
        self._counting = False
        if self._waiting:
            self._begin_round()
        while self._waiting and self._left > 0:
            self._wake(next(iter(self._waiting)))

    def _wake(self, connection: "Connection") -> None:
        self._waiting.pop(connection, None)
        self._left -= connection.reader.pending
        connection.wake()


class Pool:
    """All open connections, and which of them are idle."""

    def __init__(self) -> None:
        self._idle: dict[Connection, None] = {}
        self._open: set[Connection] = set()
        self.scheduler = ReadScheduler()
        # Filled and emptied within one callback of the loop, so that all connections share it.
        self.read_buffer = memoryview(bytearray(READ_BYTES))

    @property
    def idle_count(self) -> int:
        """How many connections are idle."""
        return len(self._idle)

    def take(self) -> "Connection | None":
        """Give the connection that was idle for the shortest time, if there is one.

        One that the engine has closed is never given, even when the loop was not told yet.
        """
        while self._idle:
            connection = self._idle.popitem()[0]
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def add(self, connection: "Connection") -> None:
        """Note a connection that was opened."""
        self._open.add(connection)

    def add_idle(self, connection: "Connection") -> None:
        """Note a connection that can serve again."""
        self._idle[connection] = None

    def remove(self, connection: "Connection") -> None:
        """Note a connection that was closed."""
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def fail(self, error: ProxyError) -> None:
        """Close every connection, telling whoever waits for it why."""
        for connection in list(self._open):
            connection.fail(error)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.close()


class Connection(asyncio.BufferedProtocol):
    """See the module; made by the event loop's ``create_connection``."""

    def __init__(self, pool: Pool, *, idle_seconds: float) -> None:
        self.reader = ResponseReader()
        self._pool = pool
        self._timeout = Timeout(float("inf"), "")
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._waiter: asyncio.Future[None] | None = None
        self._failure: ProxyError | None = None
        self._state = State.BUSY
        self._paused = False
        self._timeout_seconds = self._timeout.seconds
        self._quiet_since = 0.0
        self._unsent = 0
        self._due = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def send(self, request: bytes, timeout: Timeout) -> None:
        """Send a request, head and body; what comes from now on is its response."""
        self.reader.begin()
        self._timeout = timeout
        self._enter(State.BUSY, timeout.seconds)
        if self._transport is not None:
            self._transport.write(request)

    async def receive(self) -> None:
        """Wait until more of the response has come, or its end.

        Raises:
            EngineTimeout: Nothing came for too long.
            EngineProtocolError: The connection broke, or what came is not HTTP.
        """
        if self._failure is None:
            self._resume_reading()
            self._quiet_since = self._loop.time()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._failure is not None and not self.reader.has_body:
            raise self._failure

    def wake(self) -> None:
        """Let whoever waits go on."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def pause_reading(self) -> None:
        """Leave what comes to the system's buffers, until somebody waits for it again."""
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def release(self) -> None:
        """End the use: keep the connection if its response is complete, else close it."""
        if self.reader.complete and self.reader.reusable:
            self._enter(State.IDLE, self._idle_seconds)
            self._pool.add_idle(self)
        else:
            self.close()

    def drain(self) -> None:
        """End the use of a response whose little rest does not matter."""
        if self.reader.complete:
            self.release()
        else:
            self._enter(State.DRAINING, _REST_SECONDS)

    def is_usable(self) -> bool:
        """Ask the system whether an idle connection is as it was left: no end, no bytes."""
        return self._transport is not None and not self._poll.poll(0)

    def close(self) -> None:
        """Close at once, by which the engine stops generating."""
        if self._transport is not None:
            self._transport.abort()
            self._forget()

    def fail(self, error: ProxyError) -> None:
        """Close at once, and raise ``error`` for whoever waits for more, or comes for it."""
        self._failure = error
        self.close()
        self.wake()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._pool.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  the interface's
        """Say where the next read goes."""
        return self._pool.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
        self._quiet_since = self._loop.time()
        reader = self.reader
        if reader.complete:
            self.close()  # bytes that nobody asked for
            return
        try:
            reader.feed(self._pool.read_buffer[:nbytes])
        except EngineProtocolError as error:
            self.fail(error)
            return
        if self._state is State.DRAINING:
            reader.take()
            if reader.complete:
                self.release()
            return
        if reader.pending > READ_AHEAD_BYTES:
            self.pause_reading()
        if self._waiter is not None:
            self._pool.scheduler.schedule(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the interface's
        """Tell whoever waits."""
        if self._transport is None:
            return
        self._forget()
        try:
            self.reader.close()
        except EngineProtocolError as error:
            self._failure = error
        self.wake()

    def _resume_reading(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _forget(self) -> None:
        self._transport = None
        self._pool.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _enter(self, state: State, timeout_seconds: float) -> None:
        self._state = state
        self._resume_reading()
        self._timeout_seconds = timeout_seconds
        self._quiet_since = self._loop.time()
        if self._due > self._quiet_since + timeout_seconds:
            self._arm(self._quiet_since + timeout_seconds)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._timer = None
        if self._blocked_by_proxy():
            self._quiet_since = now
        due = self._quiet_since + self._timeout_seconds
        if due > now:
            self._arm(due)
        elif self._state is State.BUSY:
            self.fail(
                EngineTimeout(
                    f"the engine was silent for {self._timeout.seconds:g} s "
                    f"({self._timeout.variable} sets how long it may be)"
                )
            )
        else:
            self.close()

    def _blocked_by_proxy(self) -> bool:
        """Tell whether it is not the engine that holds things up: reader slow, request long."""
        before = self._unsent
        self._unsent = self._transport.get_write_buffer_size() if self._transport else 0
        reading_waits = self._state is State.BUSY and self._waiter is None
        return reading_waits or self._unsent != before
