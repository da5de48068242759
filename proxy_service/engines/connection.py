"""Connections to the engine: reading and writing, flow control, timeouts, and the pool.

Theory of operation. A connection is in one of three states::

    busy      --release, reply complete-->  idle      --send-->  busy
    busy      --drain, reply incomplete-->  draining  --reply complete-->  idle

and can be closed in any of them. It holds at most one read of a body while its task is busy, for
instance with a slow client, and at most `READ_AHEAD_BYTES` plus one read before its task resumes.
Then it stops reading, so that the engine's own buffers fill up. One timer per connection limits
each state: silence when busy, idleness when idle, the rest of the reply when draining. Reads only
record the time, so that none of them touches the timer.
"""

import asyncio
import select
from enum import Enum
from typing import NamedTuple, cast

from proxy_service.engines.reply import ReplyReader
from proxy_service.errors import EngineProtocolError, EngineTimeout, ProxyError

# Bytes of a body that are buffered for a task that waits; above this, the connection stops reading.
READ_AHEAD_BYTES = 64 * 1024
# Bytes that one read can return.
READ_BYTES = 64 * 1024
# Bytes that all connections together hand over in one round of the event loop.
ROUND_BYTES = 64 * 1024
# Parts of a request, so that its body needn't be copied.
Parts = tuple[bytes, ...]
# Seconds that the rest of a reply may take while draining; then the connection is closed.
_DRAIN_SECONDS = 0.25


class Timeout(NamedTuple):
    """How many seconds the engine may be silent, and the variable that sets them."""

    seconds: float
    variable: str


class State(Enum):
    """What a connection is doing."""

    BUSY = "busy"
    DRAINING = "draining"
    IDLE = "idle"


class ReadScheduler:
    """Shares each round of the event loop fairly between streams and everything else.

    Whatever runs in one round delays everything else in the loop, and a new connection, request
    or scrape needs several rounds. So the tasks that wait for data are resumed in order, and only
    until they have received `ROUND_BYTES` in a round; the others wait for the next one. Their
    connections don't read in the meantime, so that their next read returns more at once.
    """

    def __init__(self) -> None:
        self._waiting: dict[Connection, None] = {}
        self._left = 0
        self._in_round = False

    def schedule(self, connection: "Connection") -> None:
        """Resume the connection's task, in this round of the event loop or a later one."""
        if not self._in_round:
            self._begin_round()
        if self._left > 0:
            self._resume(connection)
        else:
            connection.pause_reading()
            self._waiting[connection] = None

    def _begin_round(self) -> None:
        self._in_round = True
        self._left = ROUND_BYTES
        asyncio.get_running_loop().call_soon(self._end_round)

    def _end_round(self) -> None:
        self._in_round = False
        if self._waiting:
            self._begin_round()
        while self._waiting and self._left > 0:
            self._resume(next(iter(self._waiting)))

    def _resume(self, connection: "Connection") -> None:
        self._waiting.pop(connection, None)
        self._left -= connection.reader.pending
        connection.wake()


class Pool:
    """All open connections, and which of them are idle."""

    def __init__(self) -> None:
        self._idle: dict[Connection, None] = {}
        self._open: set[Connection] = set()
        self.scheduler = ReadScheduler()
        # Filled and emptied within one callback of the loop, so that all connections can share it.
        self.read_buffer = memoryview(bytearray(READ_BYTES))

    def take(self) -> "Connection | None":
        """Return the connection that became idle most recently, or None.

        A connection that the engine has closed is never returned, even if the event loop doesn't
        know yet that it is closed.
        """
        while self._idle:
            connection = self._idle.popitem()[0]
            if connection.is_usable():
                return connection
            connection.close()
        return None

    def add(self, connection: "Connection") -> None:
        """Add a connection that was opened."""
        self._open.add(connection)

    def add_idle(self, connection: "Connection") -> None:
        """Make a connection available for another request."""
        self._idle[connection] = None

    def remove(self, connection: "Connection") -> None:
        """Remove a connection that was closed."""
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def fail(self, error: ProxyError) -> None:
        """Close every connection, and raise ``error`` in the tasks that use them."""
        for connection in list(self._open):
            connection.fail(error)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._open):
            connection.close()


class Connection(asyncio.BufferedProtocol):
    """One connection, which the event loop's ``create_connection`` makes; see the module."""

    def __init__(self, pool: Pool, *, idle_seconds: float) -> None:
        self.reader = ReplyReader()
        self._pool = pool
        self._read_timeout = Timeout(float("inf"), "")
        self._idle_seconds = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._waiter: asyncio.Future[None] | None = None
        self._failure: ProxyError | None = None
        self._state = State.BUSY
        self._paused = False
        self._timeout_seconds = self._read_timeout.seconds
        self._quiet_since = 0.0
        self._unsent = 0
        self._due = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def send(self, request: Parts, read_timeout: Timeout) -> None:
        """Send a request, head and body; what arrives from now on is its reply."""
        self.reader.begin()
        self._read_timeout = read_timeout
        self._enter(State.BUSY, read_timeout.seconds)
        if self._transport is not None:
            self._transport.writelines(request)

    async def receive(self) -> None:
        """Wait until more of the reply, or its end, has arrived.

        Raises:
            EngineTimeout: The engine was silent for too long.
            EngineProtocolError: The connection broke, or the reply isn't HTTP.
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
        """Resume the task that waits in `receive`, if there is one."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def pause_reading(self) -> None:
        """Leave data in the system's buffers until a task waits for it again."""
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Return the connection to the pool if it is open and its reply complete, else close it.

        It can have been closed after the end of the reply, by either side.
        """
        if self._is_open and self.reader.complete and self.reader.reusable:
            self._enter(State.IDLE, self._idle_seconds)
            self._pool.add_idle(self)
        else:
            self.close()

    def drain(self) -> None:
        """Release the connection once the rest of its reply has arrived, and discard that."""
        if self.reader.complete or not self._is_open:
            self.release()
        else:
            self._enter(State.DRAINING, _DRAIN_SECONDS)

    def is_usable(self) -> bool:
        """Return whether an idle connection is still open and has received nothing.

        Asks the system, because the event loop learns of both only in its next round.
        """
        return self._is_open and not self._poll.poll(0)

    @property
    def _is_open(self) -> bool:
        """Whether neither side has closed, as far as the event loop knows."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Close at once, so that the engine stops generating, and drop what wasn't read."""
        self._abort()
        self.reader.forget()

    def fail(self, error: ProxyError) -> None:
        """Close at once, and raise ``error`` in the current or the next `receive`."""
        self._failure = error
        self._abort()
        self.wake()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._forget()

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._pool.add(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  the interface's
        """Return the buffer for the next read."""
        return self._pool.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Handle what was read into the buffer."""
        self._quiet_since = self._loop.time()
        reader = self.reader
        if reader.complete:
            self.close()  # data that no request asked for
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
        if self._waiter is None or reader.pending > READ_AHEAD_BYTES:
            self.pause_reading()
        if self._waiter is not None:
            self._pool.scheduler.schedule(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the interface's
        """End the reply, and resume the task that waits for it."""
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
        """Time out if the state has lasted too long, else set the timer again."""
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
                    f"the engine was silent for {self._read_timeout.seconds:g} s "
                    f"({self._read_timeout.variable} sets the limit)"
                )
            )
        else:
            self.close()

    def _blocked_by_proxy(self) -> bool:
        """Return whether the proxy, not the engine, causes the silence.

        Either the proxy isn't waiting for data, or the engine is still reading a long request.
        """
        before = self._unsent
        self._unsent = self._transport.get_write_buffer_size() if self._transport else 0
        not_waiting = self._state is State.BUSY and self._waiter is None
        return not_waiting or self._unsent != before
