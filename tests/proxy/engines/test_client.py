"""The client for the engine, on real sockets: keeping, losing and pausing connections."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from proxy_service.clock import SystemClock
from proxy_service.engines import client, connection
from proxy_service.engines.client import HttpEngine
from proxy_service.engines.connection import (
    READ_AHEAD_BYTES,
    READ_BYTES,
    ROUND_BYTES,
    Connection,
    Pool,
)
from proxy_service.errors import EngineProtocolError, EngineTimeout, EngineUnavailable, ShuttingDown
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.metrics import ProxyMetrics
from tests.processes import TIMEOUT_SECONDS, free_port
from tests.proxy.movable_loop import MovableLoop

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def engine_of(settings: ProxySettings) -> HttpEngine:
    return HttpEngine(settings, ProxyMetrics(), SystemClock())


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The client's connections, in the order in which it opens them."""
    connections: list[Connection] = []

    def connect(pool: Pool, *, idle_seconds: float) -> Connection:
        connections.append(Connection(pool, idle_seconds=idle_seconds))
        return connections[-1]

    monkeypatch.setattr(client, "Connection", connect)
    return connections


def on_movable_loop(test: Callable[[MovableLoop], Coroutine[Any, Any, None]]) -> None:
    """Run a test that needs the proxy's event loop, with a time that it can move."""
    with asyncio.Runner(loop_factory=MovableLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, MovableLoop)
        runner.run(test(loop))


@asynccontextmanager
async def engine_at(serve: Serve, **settings: float) -> AsyncIterator[HttpEngine]:
    """Yield a client whose engine handles each connection with `serve`."""
    handlers: set[asyncio.Task[None] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://user:pass%20word@127.0.0.1:{port}/base"
    engine = engine_of(ProxySettings(engine_url=url, **settings))  # type: ignore[arg-type]
    try:
        yield engine
    finally:
        await engine.stop()
        server.close()
        await asyncio.gather(*(task for task in handlers if task))


async def get(engine: HttpEngine) -> bytes:
    async with engine.request("GET", "/v1/models") as reply:
        return await reply.body()


async def post(engine: HttpEngine) -> bytes:
    async with engine.request("POST", "/v1/chat/completions", body=b"{}") as reply:
        return await reply.body()


class Connections:
    """Counts connections, and replies `OK` to `per_connection` requests on each."""

    def __init__(self, per_connection: int) -> None:
        self.count = 0
        self.requests: list[bytes] = []
        self._per_connection = per_connection

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        for _ in range(self._per_connection):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
        # Closes after a request arrived, as if the close had been sent before.
        await reader.read(1)


async def test_a_connection_serves_one_request_after_another() -> None:
    """Opening one for each would cost more than the request."""
    connections = Connections(per_connection=10)
    async with engine_at(connections) as engine:
        assert [await get(engine) for _ in range(10)] == [b"ok"] * 10

    assert connections.count == 1


async def test_a_get_is_sent_again_when_the_engine_closes_a_reused_connection() -> None:
    """Sending it twice changes nothing."""
    connections = Connections(per_connection=1)
    async with engine_at(connections) as engine:
        assert [await get(engine) for _ in range(3)] == [b"ok"] * 3

    assert connections.count == 3


async def test_a_post_is_not_sent_again() -> None:
    """The engine read it on a reused connection and closed that: it may have worked on it."""
    connections = requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, requests
        connections += 1
        for response in (OK, b""):
            await reader.readuntil(b"\r\n\r\n{}")
            requests += 1
            writer.write(response)

    async with engine_at(serve) as engine:
        assert await post(engine) == b"ok"
        with pytest.raises(EngineProtocolError):
            await post(engine)

    assert (connections, requests) == (1, 2)


async def test_a_kept_connection_that_the_engine_has_closed_is_not_used(
    opened: list[Connection],
) -> None:
    """Not even before the event loop knows of it; no request is lost."""
    count = 0
    kept, closed = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(OK)
        await kept.wait()
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        closed.set()
        await reader.read()

    async with engine_at(serve) as engine:
        for _ in range(3):
            assert await post(engine) == b"ok"
            assert opened[-1].is_usable()
            kept.set()
            await closed.wait()
            kept.clear()
            closed.clear()

    assert count == 3


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Connection]:
    """The connections that became available for another request, in order."""
    connections: list[Connection] = []
    add = Pool.add_idle

    def remember(pool: Pool, connection: Connection) -> None:
        connections.append(connection)
        add(pool, connection)

    monkeypatch.setattr(Pool, "add_idle", remember)
    return connections


@pytest.fixture
async def transports(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Transport]:
    """The transports of the client's connections, in the order in which it opens them."""
    opened: list[asyncio.Transport] = []
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def remember(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  the loop's
        transport, protocol = await connect(*arguments, **options)
        opened.append(transport)
        return transport, protocol

    monkeypatch.setattr(loop, "create_connection", remember)
    return opened


@pytest.mark.parametrize(
    "end",
    [
        lambda writer: writer.write(b"x"),
        lambda writer: writer.write(OK),
        lambda writer: writer.get_extra_info("socket").shutdown(socket.SHUT_WR),
        lambda writer: writer.transport.abort(),
    ],
    ids=["data", "another reply", "half-closed", "closed"],
)
@pytest.mark.parametrize("discard", [True, False], ids=["discarded", "read"])
async def test_a_connection_that_ends_after_its_reply_is_not_kept(
    transports: list[asyncio.Transport],
    kept: list[Connection],
    end: Callable[[asyncio.StreamWriter], None],
    *,
    discard: bool,
) -> None:
    """It ends while the reply is still in use: while its client is reading, for example."""
    read = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await read.wait()
        end(writer)
        await reader.read()

    async with engine_at(serve) as engine:
        async with engine.request("GET", "/") as reply:
            assert await reply.body() == b"ok"
            read.set()
            while not transports[0].is_closing():  # noqa: ASYNC110  it has no event for this
                await asyncio.sleep(0)
            if discard:
                reply.discard_rest()
        assert kept == []
        assert await get(engine) == b"ok"


async def test_a_connection_that_ends_within_a_discarded_reply_is_not_kept(
    transports: list[asyncio.Transport], kept: list[Connection]
) -> None:
    """The part that was needed has arrived; the rest never does."""
    read = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM + b"2\r\nok\r\n")
        await read.wait()

    async with engine_at(serve) as engine, engine.request("GET", "/") as reply:
        assert await anext(aiter(reply.iter_bytes())) == b"ok"
        read.set()
        while not transports[0].is_closing():  # noqa: ASYNC110  it has no event for this
            await asyncio.sleep(0)
        reply.discard_rest()

    assert kept == []


async def test_a_connection_that_cannot_be_opened_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing has been sent, so this is safe for every request."""
    failures = [ConnectionRefusedError(), ConnectionResetError()]
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def fail_first(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  the loop's
        if failures:
            raise failures.pop()
        return await connect(*arguments, **options)

    async with engine_at(Connections(per_connection=1)) as engine:
        monkeypatch.setattr(loop, "create_connection", fail_first)
        with pytest.raises(EngineUnavailable):
            await post(engine)  # refused and reset
        failures.append(ConnectionResetError())
        assert await post(engine) == b"ok"


async def test_nothing_is_sent_on_a_connection_that_opens_after_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.create_connection
    connections = Connections(per_connection=1)
    async with engine_at(connections) as engine:

        async def interrupted(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  the loop's
            engine.interrupt(ShuttingDown())
            return await connect(*arguments, **options)

        monkeypatch.setattr(loop, "create_connection", interrupted)
        with pytest.raises(ShuttingDown):
            await post(engine)

    assert connections.requests == []


async def close_after_the_keep_alive(loop: MovableLoop) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        if not await reader.read(1):
            gone.set()

    async with engine_at(serve, engine_keep_alive_seconds=15) as engine:
        assert await get(engine) == b"ok"
        loop.put_forward(16)
        await asyncio.wait_for(gone.wait(), TIMEOUT_SECONDS)


def test_a_kept_connection_is_closed_before_the_engine_closes_it() -> None:
    """After `engine_keep_alive_seconds` without a request."""
    on_movable_loop(close_after_the_keep_alive)


async def test_the_engine_closing_a_new_connection_is_an_error() -> None:
    """Only a reused connection is replaced."""
    connections = Connections(per_connection=0)
    async with engine_at(connections) as engine:
        with pytest.raises(EngineProtocolError):
            await get(engine)

    assert connections.count == 1


async def test_a_request_names_path_host_and_credentials_of_the_url() -> None:
    """All of them come from MISTRAL_URL; the credentials are sent in their header only."""
    connections = Connections(per_connection=1)
    async with engine_at(connections) as engine:
        await get(engine)

    head = connections.requests[0]
    assert head.startswith(b"GET /base/v1/models HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAuthorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n" in head


async def test_a_slow_reader_slows_the_engine_down(transports: list[asyncio.Transport]) -> None:
    """The client holds no more than two fixed buffers of a reply, and all of it arrives."""
    piece = b"x" * 16384
    frame = b"%x\r\n%b\r\n" % (len(piece), piece)
    sent, total = 0, 2000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM)
        for _ in range(total):
            writer.write(frame)
            await writer.drain()
            sent += 1
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with engine_at(serve) as engine, engine.request("GET", "/") as reply:
        (transport,) = transports
        while transport.is_reading() and sent < total:  # noqa: ASYNC110  it has no event for this
            await asyncio.sleep(0)
        sent_before = sent
        sizes = [len(data) async for data in reply.iter_bytes()]

    assert sent_before < total
    assert max(sizes) <= READ_AHEAD_BYTES + READ_BYTES
    assert sum(sizes) == total * len(piece)


async def test_many_streams_at_once_leave_room_for_others() -> None:
    """Each round of the event loop handles a limited part of the data that is ready."""
    piece = b"x" * 60_000
    frame = b"%x\r\n%b\r\n" % (len(piece), piece)
    count, connected, sent = 40, asyncio.Event(), asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM)
        writers.append(writer)
        if len(writers) == count:
            connected.set()
        await sent.wait()

    taken = 0

    async def take(engine: HttpEngine) -> None:
        nonlocal taken
        async with engine.request("GET", "/") as reply:
            async for data in reply.iter_bytes():
                taken += len(data)

    async with engine_at(serve) as engine, asyncio.TaskGroup() as readers:
        for _ in range(count):
            readers.create_task(take(engine))
        await connected.wait()
        for writer in writers:
            writer.write(frame + b"0\r\n\r\n")
        rounds: list[int] = []
        while sum(rounds) < count * len(piece):
            taken = 0
            await asyncio.sleep(0)
            rounds.append(taken)
        sent.set()

    assert max(rounds) <= 2 * (ROUND_BYTES + READ_BYTES)


async def test_a_reply_whose_rest_is_discarded_keeps_its_connection(
    monkeypatch: pytest.MonkeyPatch, opened: list[Connection]
) -> None:
    """The end of a stream's framing arrives after the last event that matters."""
    monkeypatch.setattr(connection, "_DRAIN_SECONDS", TIMEOUT_SECONDS)
    answered = asyncio.Event()
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM + b"3\r\nend\r\n")
        await answered.wait()
        writer.write(b"0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.read()

    async with engine_at(serve) as engine:
        async with engine.request("GET", "/") as reply:
            assert await anext(reply.iter_bytes()) == b"end"
            reply.discard_rest()
        answered.set()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not opened[0].reader.complete:  # noqa: ASYNC110  as above
                await asyncio.sleep(0)
        assert await get(engine) == b"ok"

    assert count == 1


async def test_leaving_a_reply_closes_its_connection() -> None:
    """So that the engine stops generating."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM + b"3\r\nabc\r\n")
        if not await reader.read(1):
            gone.set()

    async with engine_at(serve) as engine:
        async with engine.request("GET", "/") as reply:
            await anext(reply.iter_bytes())
        await asyncio.wait_for(gone.wait(), TIMEOUT_SECONDS)


async def wait_longer_for_the_reader_then_for_the_engine(loop: MovableLoop) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM + b"3\r\nabc\r\n")
        await reader.read(1)

    async with (
        engine_at(serve, engine_silence_timeout_seconds=10) as engine,
        engine.request("GET", "/", streamed=True) as reply,
    ):
        data = reply.iter_bytes()
        loop.put_forward(11)
        assert await anext(data) == b"abc"
        waiting = asyncio.ensure_future(anext(data))
        await loop.settle()
        loop.put_forward(9)
        await loop.settle()
        assert not waiting.done()
        loop.put_forward(2)
        with pytest.raises(EngineTimeout):
            await waiting


def test_a_slow_reader_is_not_a_silent_engine() -> None:
    """Only waiting for the engine counts as its silence."""
    on_movable_loop(wait_longer_for_the_reader_then_for_the_engine)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_whole_reply_may_take_longer_than_a_stream_may_be_silent(*, streamed: bool) -> None:
    """The engine is silent until it is complete. The error names the variable of the timeout."""
    limits = {"engine_silence_timeout_seconds": 10, "engine_reply_timeout_seconds": 3600}
    seconds, variable = (
        (10, "ENGINE_SILENCE_TIMEOUT") if streamed else (3600, "ENGINE_REPLY_TIMEOUT")
    )

    async def be_silent(loop: MovableLoop) -> None:
        asked = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            del writer
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await reader.read(1)

        async def ask(engine: HttpEngine) -> None:
            async with engine.request("GET", "/", streamed=streamed):
                pass

        async with engine_at(serve, **limits) as engine:
            asking = asyncio.create_task(ask(engine))
            await asked.wait()
            loop.put_forward(seconds - 1)
            await loop.settle()
            assert not asking.done()
            loop.put_forward(2)
            with pytest.raises(EngineTimeout, match=f"for {seconds} s .{variable}"):
                await asking

    on_movable_loop(be_silent)


async def test_the_error_of_a_refused_connection_names_the_url() -> None:
    """And the variable that sets it."""
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(EngineUnavailable, match=f"{url}.*MISTRAL_URL"):
        await get(engine_of(ProxySettings(engine_url=url)))
