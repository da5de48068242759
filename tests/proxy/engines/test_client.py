"""The client to the engine on real sockets: keeping, losing and holding back connections."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from proxy_service.engines.client import HttpEngine
from proxy_service.engines.connection import READ_AHEAD_BYTES, READ_BYTES, ROUND_BYTES
from proxy_service.errors import EngineProtocolError, EngineTimeout, EngineUnavailable, ShuttingDown
from proxy_service.settings import ProxySettings
from proxy_service.telemetry.metrics import ProxyMetrics

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def engine_of(settings: ProxySettings) -> HttpEngine:
    return HttpEngine(settings, ProxyMetrics())


@asynccontextmanager
async def engine_at(serve: Serve, **settings: float) -> AsyncIterator[HttpEngine]:
    """A client whose engine answers each connection with `serve`."""
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
    """Counts connections and answers `OK` to each request, `per_connection` times."""

    def __init__(self, per_connection: int) -> None:
        self.count = 0
        self.requests: list[bytes] = []
        self._per_connection = per_connection

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        for _ in range(self._per_connection):
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)
        # Reads the next request before it hangs up, as if both had crossed on their way.
        await reader.read(1)


async def test_a_connection_serves_one_request_after_another() -> None:
    """Opening one per request would cost more than the request."""
    connections = Connections(per_connection=10)
    async with engine_at(connections) as engine:
        assert [await get(engine) for _ in range(10)] == [b"ok"] * 10

    assert connections.count == 1


async def test_a_list_is_asked_for_again_when_the_engine_hangs_up_on_a_kept_connection() -> None:
    """Asking twice changes nothing."""
    connections = Connections(per_connection=1)
    async with engine_at(connections) as engine:
        assert [await get(engine) for _ in range(3)] == [b"ok"] * 3

    assert connections.count == 3


async def test_what_may_have_begun_to_generate_is_not_sent_again() -> None:
    """The engine read a request on a kept connection and hung up: it may have worked on it."""
    connections = requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, requests
        connections += 1
        for answer in (OK, b""):
            await reader.readuntil(b"\r\n\r\n{}")
            requests += 1
            writer.write(answer)

    async with engine_at(serve) as engine:
        assert await post(engine) == b"ok"
        with pytest.raises(EngineProtocolError):
            await post(engine)

    assert (connections, requests) == (1, 2)


async def test_a_kept_connection_that_the_engine_has_closed_is_not_used() -> None:
    """Even in the same turn of the loop in which it closed it; nothing is lost, nothing told."""
    count = 0
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(OK)
        await asyncio.sleep(0)
        writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        closed.set()
        await reader.read()

    async with engine_at(serve) as engine:
        for _ in range(3):
            closed.clear()
            assert await post(engine) == b"ok"
            await closed.wait()

    assert count == 3


async def test_a_connection_that_can_not_be_opened_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing was sent by then, so this is safe for every request."""
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


async def test_nothing_is_sent_over_a_connection_that_opens_when_the_grace_is_over(
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


async def test_a_kept_connection_is_dropped_before_the_engine_does() -> None:
    """Unused for `engine_keep_alive_seconds`, it is closed from this side."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        if not await reader.read(1):
            gone.set()

    async with engine_at(serve, engine_keep_alive_seconds=0.05) as engine:
        assert await get(engine) == b"ok"
        await asyncio.wait_for(gone.wait(), 5)
        assert engine.idle_connections == 0


async def test_the_engine_hanging_up_on_a_new_connection_is_an_error() -> None:
    """No second try for an engine that just does not answer."""
    connections = Connections(per_connection=0)
    async with engine_at(connections) as engine:
        with pytest.raises(EngineProtocolError):
            await get(engine)

    assert connections.count == 1


async def test_a_request_names_path_host_and_credentials_of_the_url() -> None:
    """What stands in MISTRAL_URL is used; the credentials go into their header only."""
    connections = Connections(per_connection=1)
    async with engine_at(connections) as engine:
        await get(engine)

    head = connections.requests[0]
    assert head.startswith(b"GET /base/v1/models HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nAuthorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n" in head


async def test_a_reader_that_waits_makes_the_engine_wait() -> None:
    """No more of a reply is held than two fixed buffers, and all of it arrives."""
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
        before = -1
        while sent > before:  # until the system's own buffers are full as well
            before = sent
            for _ in range(200):
                await asyncio.sleep(0)
        sizes = [len(data) async for data in reply.iter_bytes()]

    assert before < total
    assert max(sizes) <= READ_AHEAD_BYTES + READ_BYTES
    assert sum(sizes) == total * len(piece)


async def test_many_streams_at_once_leave_the_event_loop_to_others() -> None:
    """Whatever waits to be read, in one round of the loop a bounded part of it is handled."""
    piece = b"x" * 60_000
    frame = b"%x\r\n%b\r\n" % (len(piece), piece)
    count, sent = 40, asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM)
        writers.append(writer)
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
        while len(writers) < count:  # noqa: ASYNC110  a state of the engine's, no event
            await asyncio.sleep(0)
        for writer in writers:
            writer.write(frame + b"0\r\n\r\n")
        rounds = []
        while sum(rounds) < count * len(piece):
            taken = 0
            await asyncio.sleep(0)
            rounds.append(taken)
        sent.set()

    assert max(rounds) <= 2 * (ROUND_BYTES + READ_BYTES)


async def test_a_reply_that_is_let_go_keeps_its_connection() -> None:
    """The end of a stream's framing comes after the last event that anyone wants."""
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
        while not engine.idle_connections:  # noqa: ASYNC110  a state of the client's, no event
            await asyncio.sleep(0)
        assert await get(engine) == b"ok"

    assert count == 1


async def test_a_reply_that_is_left_closes_its_connection() -> None:
    """By which the engine stops generating."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM + b"3\r\nabc\r\n")
        if not await reader.read(1):
            gone.set()

    async with engine_at(serve) as engine:
        async with engine.request("GET", "/") as reply:
            await anext(reply.iter_bytes())
        await asyncio.wait_for(gone.wait(), 1)


async def test_a_slow_reader_is_no_silent_engine() -> None:
    """Only a wait for the engine counts as its silence."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(STREAM + b"3\r\nabc\r\n")
        await reader.read(1)

    async with (
        engine_at(serve, engine_silence_timeout_seconds=0.1) as engine,
        engine.request("GET", "/", streamed=True) as reply,
    ):
        chunks = reply.iter_bytes()
        await asyncio.sleep(0.3)
        assert await anext(chunks) == b"abc"
        with pytest.raises(EngineTimeout):
            await anext(chunks)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_whole_reply_may_take_longer_than_a_stream_may_be_silent(*, streamed: bool) -> None:
    """The engine says nothing until it has all of it; each limit is told by its variable."""
    short, long = 0.1, 3600.0
    limits = {
        "engine_silence_timeout_seconds": short if streamed else long,
        "engine_reply_timeout_seconds": long if streamed else short,
    }
    variable = "ENGINE_SILENCE_TIMEOUT" if streamed else "ENGINE_REPLY_TIMEOUT"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(1)

    async with engine_at(serve, **limits) as engine:
        with pytest.raises(EngineTimeout, match=f"for 0.1 s .{variable}"):
            async with engine.request("GET", "/", streamed=streamed):
                pass


async def test_a_port_where_nobody_listens_is_told_with_the_url() -> None:
    """And with the setting that holds it."""
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()

    with pytest.raises(EngineUnavailable, match=f"{url}.*MISTRAL_URL"):
        await get(engine_of(ProxySettings(engine_url=url)))
