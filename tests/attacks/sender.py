"""What an attack sends with: connections that write, wait, read slowly or not at all.

Everything runs in the one event loop of the attacking process. Bytes and rounds are paced, so that
the proxy is measured and not a machine without free processors.
"""

import asyncio
import itertools
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

from httptools import HttpParserError, HttpResponseParser

# One sender's line of 1 Gbit/s.
BYTES_PER_SECOND: Final = 125_000_000
# Rounds of an attack that names no rate of its own, on all its connections together.
ROUNDS_PER_SECOND: Final = 500.0
_PIECE_BYTES: Final = 256 * 1024
_READ_BYTES: Final = 64 * 1024
# The smallest receive buffer that Linux grants is a few KiB, so a slow reader is felt soon.
_SLOW_RECEIVE_BUFFER: Final = 4096
_PAUSE_AFTER_FAILURE_SECONDS: Final = 0.1
_MORE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05

Work = Coroutine[Any, Any, None]

NO_CONNECTION: Final = "no connection"
NO_ANSWER: Final = "closed without an answer"


@dataclass(frozen=True)
class Target:
    """Where an attack goes.

    Attributes:
        host: Address of the proxy.
        port: Its port.
        key: A valid key: even a sender who may chat must not stop the proxy.
        model: A model that generates at an ordinary pace.
        bulk_model: A model that replies at once with as much as was asked for, if there is one.
    """

    host: str
    port: int
    key: str = field(repr=False)
    model: str
    bulk_model: str


class Pace:
    """Spreads amounts over time, ``per_second`` at most."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._due = time.monotonic()

    async def take(self, amount: float) -> None:
        """Wait until ``amount`` may be used."""
        now = time.monotonic()
        self._due = max(self._due, now)
        wait, self._due = self._due - now, self._due + amount / self._per_second
        if wait > 0:
            await asyncio.sleep(wait)


@dataclass
class Tally:
    """What was sent, and what came back.

    Attributes:
        connections: Connections that were opened.
        requests: Requests that were begun.
        sent_bytes: Bytes that were written.
        answers: How many of each status, or of another end.
    """

    connections: int = 0
    requests: int = 0
    sent_bytes: int = 0
    answers: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True)
class Reading:
    """How a connection reads: so many bytes at a time, with a pause after each.

    ``pause_seconds`` is None for a connection that reads nothing.
    """

    at_once: int = _READ_BYTES
    pause_seconds: float | None = 0.0

    @property
    def is_slow(self) -> bool:
        """Whether it reads more slowly than it could."""
        return self.pause_seconds != 0


AT_ONCE: Final = Reading()
NOT_AT_ALL: Final = Reading(pause_seconds=None)


class Connection(asyncio.BufferedProtocol):
    """One connection to the proxy. It counts the answers that it reads."""

    def __init__(self, sender: "Sender", reading: Reading) -> None:
        self.closed = False
        self._sender = sender
        self._reading = reading
        self._buffer = sender.buffer[: reading.at_once]
        self._parser = HttpResponseParser(self)
        self._answered = 0
        self._aborted = False
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport

    async def send(self, data: bytes, requests: int = 1) -> None:
        """Send bytes in which ``requests`` requests begin; stop when the proxy has closed."""
        tally = self._sender.tally
        tally.requests += requests
        for start in range(0, len(data), _PIECE_BYTES):
            piece = data[start : start + _PIECE_BYTES]
            await self._sender.bytes_pace.take(len(piece))
            if self.closed:
                return
            self._transport.write(piece)
            tally.sent_bytes += len(piece)
            await self._writable.wait()

    async def answered(self, count: int = 1) -> None:
        """Wait for ``count`` more complete answers, or until the proxy closes."""
        wanted = self._answered + count
        while self._answered < wanted and not self.closed:
            await self._next_change()

    async def begun(self) -> None:
        """Wait for the first bytes of an answer, or until the proxy closes."""
        if not self.closed:
            await self._next_change()

    async def end(self) -> None:
        """Wait until the proxy closes."""
        while not self.closed:
            await self._next_change()

    async def trickle(self, piece: bytes, *, every_seconds: float) -> None:
        """Send a piece now and then, until the proxy closes."""
        while not self.closed:
            await self.send(piece, requests=0)
            with suppress(TimeoutError):
                async with asyncio.timeout(every_seconds):
                    await self.end()

    def abort(self) -> None:
        """Close at once."""
        self._aborted = True
        self._transport.abort()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._sender.tally.connections += 1
        if self._reading.pause_seconds is None:
            self._transport.pause_reading()

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        with suppress(HttpParserError):  # the answer to a HEAD has no body, whatever its length
            self._parser.feed_data(self._buffer[:nbytes])
        self._changed.set()
        if pause := self._reading.pause_seconds:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(pause, self._resume)

    def _resume(self) -> None:
        if not self.closed:
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.closed = True
        if not self._answered and not self._aborted:
            self._sender.tally.answers[NO_ANSWER] += 1
        self._writable.set()
        self._changed.set()

    # Callbacks of the parser, which finds them by name.

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._sender.tally.answers[str(status)] += 1

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200:
            self._answered += 1


class Sender:
    """Runs an attack's rounds on many connections until its time is up.

    Args:
        target: The proxy.
        seconds: How long, from the first round on. What is prepared before takes no time off it.
        reached: Whether an attack with this tally has reached its aim. On a busy machine that may
            take longer, so it gets up to half a minute more.
    """

    def __init__(
        self, target: Target, seconds: float, reached: Callable[[Tally], bool] = lambda _: True
    ) -> None:
        self.target = target
        self.tally = Tally()
        self.bytes_pace = Pace(BYTES_PER_SECOND)
        # All connections read into it: what they read is used up at once.
        self.buffer = memoryview(bytearray(_READ_BYTES))
        self._seconds = seconds
        self._reached = reached
        self._began: float | None = None
        self._running: asyncio.Task[None]

    async def run(self, attack: Callable[["Sender"], Work]) -> None:
        """Run an attack until its time is up."""
        self._running = asyncio.create_task(attack(self))
        with suppress(asyncio.CancelledError):
            await self._running

    def _end_if_time_is_up(self) -> None:
        loop = asyncio.get_running_loop()
        elapsed = loop.time() - (self._began or 0.0)
        if self._reached(self.tally) or elapsed > self._seconds + _MORE_SECONDS:
            self._running.cancel()
        else:
            loop.call_later(_LOOK_SECONDS, self._end_if_time_is_up)

    async def connect(self, reading: Reading = AT_ONCE) -> Connection:
        """Open a connection. Raises OSError."""
        loop = asyncio.get_running_loop()
        endpoint = socket.socket()
        try:
            endpoint.settimeout(0)
            endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Closing resets the connection. Otherwise its port would stay in use for a minute.
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if reading.is_slow:
                endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_RECEIVE_BUFFER)
            await loop.sock_connect(endpoint, (self.target.host, self.target.port))
            _, connection = await loop.create_connection(
                lambda: Connection(self, reading), sock=endpoint
            )
        except BaseException:
            endpoint.close()
            raise
        return connection

    async def rounds(
        self,
        play: Callable[[int], Work],
        *,
        connections: int,
        per_second: float = ROUNDS_PER_SECOND,
    ) -> None:
        """Play rounds, ``connections`` at the same time, until the time is up.

        Args:
            play: Plays a round; gets a number below ``connections``.
            connections: How many rounds are under way at once.
            per_second: How many rounds may begin per second.
        """
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
            loop.call_later(self._seconds, self._end_if_time_is_up)
        pace = Pace(per_second)

        async def keep_playing(number: int) -> None:
            while True:
                await pace.take(1)
                try:
                    await play(number)
                except OSError:
                    self.tally.answers[NO_CONNECTION] += 1
                    await asyncio.sleep(_PAUSE_AFTER_FAILURE_SECONDS)

        async with asyncio.TaskGroup() as group:
            for number in range(connections):
                group.create_task(keep_playing(number))

    async def ask(
        self,
        data: bytes,
        *,
        connections: int,
        per_second: float = ROUNDS_PER_SECOND,
        requests: int = 1,
    ) -> None:
        """Send the same bytes again and again on kept connections, each time awaiting the answers.

        Args:
            data: One request, or ``requests`` pipelined ones.
            connections: How many connections are kept.
            per_second: How often the bytes are sent per second, on all connections together.
            requests: Number of requests in ``data``.
        """
        kept: dict[int, Connection] = {}

        async def play(number: int) -> None:
            connection = kept.get(number)
            if connection is None or connection.closed:
                connection = kept[number] = await self.connect()
            await connection.send(data, requests)
            await connection.answered(requests)

        await self.rounds(play, connections=connections, per_second=per_second)

    async def hold(
        self,
        play: Callable[[Connection], Work],
        *,
        connections: int,
        reading: Reading = AT_ONCE,
        per_second: float = ROUNDS_PER_SECOND,
    ) -> None:
        """Open connections, do something on each, and hold it until the proxy closes it.

        Args:
            play: What to do on a new connection.
            connections: How many are open at once.
            reading: How they read.
            per_second: How many may be opened per second.
        """

        async def once(_number: int) -> None:
            connection = await self.connect(reading)
            await play(connection)
            await connection.end()

        await self.rounds(once, connections=connections, per_second=per_second)

    async def visit(
        self,
        play: Callable[[Connection], Work],
        *,
        connections: int,
        per_second: float = ROUNDS_PER_SECOND,
    ) -> None:
        """Open connections, do something on each and abort it, again and again; see ``hold``."""

        async def once(_number: int) -> None:
            connection = await self.connect()
            try:
                await play(connection)
            finally:
                connection.abort()

        await self.rounds(once, connections=connections, per_second=per_second)

    async def each(
        self,
        requests: Sequence[bytes],
        *,
        connections: int,
        per_second: float = ROUNDS_PER_SECOND,
    ) -> None:
        """Send requests in turn, each on a connection of its own, and await its answer."""
        turn = itertools.cycle(requests)

        async def send(connection: Connection) -> None:
            await connection.send(next(turn))
            await connection.answered()

        await self.visit(send, connections=connections, per_second=per_second)

    # Requests as bytes.

    def http(  # noqa: PLR0913  all but two are keywords
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: str = "",
        key: str | None = None,
        host: str | None = None,
    ) -> bytes:
        """Return a request.

        Args:
            method: Its method.
            path: Its target.
            body: Sent with its length, unless it is empty.
            headers: Further header lines, each with its end.
            key: The key; None for the valid one, empty for none.
            host: The Host header; None for the right one.
        """
        key = self.target.key if key is None else key
        lines = f"{method} {path} HTTP/1.1\r\n"
        lines += f"Host: {host or f'{self.target.host}:{self.target.port}'}\r\n{headers}"
        lines += f"Authorization: Bearer {key}\r\n" if key else ""
        lines += f"Content-Length: {len(body)}\r\n" if body else ""
        return lines.encode() + b"\r\n" + body

    def post(self, path: str, body: bytes) -> bytes:
        """Return a POST with the valid key."""
        return self.http("POST", path, body)

    def begun_body(self, path: str, size: int, *, key: str | None = None) -> bytes:
        """Return the head of a POST whose body of ``size`` bytes is still to be sent."""
        return self.http("POST", path, headers=f"Content-Length: {size}\r\n", key=key)
