"""The real proxy on a real socket: in a thread, where a test sets the time, or as a process."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
from prometheus_client.parser import text_string_to_metric_families
from sanic import Sanic

from proxy_service.app import create_app
from proxy_service.engines.client import HttpEngine
from proxy_service.server.connection import ClientConnection
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.metrics import ProxyMetrics
from tests.processes import RunningProcess, start_process
from tests.proxy.movable_loop import MovableLoop
from tests.proxy.scripted_engine import CHAT_PATH, ScriptedEngine

if TYPE_CHECKING:
    from proxy_service.pipeline import ProxyApp

# Generous, for a busy machine; nothing waits this long unless it fails.
TIMEOUT_SECONDS = 30.0
# Seconds since 1970 at which the proxy starts.
STARTED_AT: Final = 1_700_000_000


def eventually(holds: Callable[[], bool], *, seconds: float = TIMEOUT_SECONDS) -> bool:
    """Wait until `holds` returns true, up to `seconds`; return whether it did."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.005)
    return True


@contextmanager
def serving(port: int, engine_url: str, **variables: str) -> Iterator[RunningProcess]:
    """Run the proxy as a process on a port, in front of an engine."""
    env = {"BIND_ADDRESS": f"127.0.0.1:{port}", "MISTRAL_URL": engine_url} | variables
    url = f"http://127.0.0.1:{port}/livez"
    with start_process(["-m", "proxy_service"], env=env, ready_url=url) as process:
        yield process


class Exposition:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self.samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in self.families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        """Return the value of one series, or 0 if it doesn't exist."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    def series(self, prefix: str = "mistral_") -> set[tuple[str, frozenset[tuple[str, str]]]]:
        """Return all series whose name begins with `prefix`."""
        return {key for key in self.samples if key[0].startswith(prefix)}

    def label_values(self, label: str) -> set[str]:
        """Return all values of a label, over all series."""
        return {value for _, labels in self.samples for name, value in labels if name == label}


class MovableClock:
    """The machine's clock, which a test can move forward."""

    ahead_seconds = 0.0

    def time_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_seconds


class SteppedClock(MovableClock):
    """A clock that stands still until a test moves it."""

    def time_ns(self) -> int:
        """Return nanoseconds since 1970."""
        return STARTED_AT * 10**9 + round(self.ahead_seconds * 10**9)

    def monotonic(self) -> float:
        """Return the seconds since the proxy started."""
        return self.ahead_seconds


class _CountingConnection(ClientConnection):
    """Counts the bytes that a client's connection has read and handled, by the client's port."""

    loop: MovableLoop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.loop.read_from_clients[self._port()] = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.loop.read_from_clients[self._port()] += len(data)

    def _port(self) -> int:
        assert self.conn_info is not None
        return int(self.conn_info.client_port)


class RunningProxy:
    """A context manager that serves the proxy at `url`.

    The proxy asks its engine for its models once, and again only when a request needs it, unless
    it is `probing`.
    """

    def __init__(self, settings: ProxySettings, *, probing: bool = False) -> None:
        Sanic.test_mode = True
        self.settings = settings
        if not probing:
            self.settings = replace(settings, engine_probe_interval_seconds=3600)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        # Kept connections could be closed by moved time while a request is sent on one of them.
        limits = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(base_url=self.url, limits=limits, timeout=30, trust_env=False)
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._loop = MovableLoop()
        self.clock = MovableClock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.app: ProxyApp

    def scrape(self) -> Exposition:
        """Return a scrape of `/metrics`."""
        return Exposition(self.http.get("/metrics").text)

    def counted(self, name: str, value: float, **labels: str) -> bool:
        """Wait until a series has this value; return whether it does."""
        return eventually(lambda: self.scrape().value(name, **labels) == value)

    def idle(self) -> Exposition:
        """Wait until no request is running, and return a scrape."""
        assert self.counted("mistral_active_requests", 0)
        return self.scrape()

    def tasks(self) -> int:
        """Return the number of tasks in the proxy's event loop."""

        async def count() -> int:
            return len(asyncio.all_tasks()) - 1

        return asyncio.run_coroutine_threadsafe(count(), self._loop).result(TIMEOUT_SECONDS)

    def probe(self) -> None:
        """Have the proxy ask the engine for its models now."""
        self.http.get("/api/tags")

    def has_read(self, count: int, *, port: int) -> bool:
        """Wait until the proxy has read `count` bytes from the client at a port."""
        return eventually(lambda: self._loop.read_from_clients[port] == count)

    def put_forward(self, seconds: float) -> None:
        """Move the proxy's time forward, once it has handled all that it has read."""

        async def pass_time() -> None:
            await self._loop.settle()
            self.clock.ahead_seconds += seconds
            self._loop.put_forward(seconds)

        asyncio.run_coroutine_threadsafe(pass_time(), self._loop).result(TIMEOUT_SECONDS)

    def put_forward_in_silence(
        self, engine: ScriptedEngine, seconds: float, *, path: str = CHAT_PATH, skip: int = 0
    ) -> None:
        """Move time forward, once the proxy has read what a silent engine has sent in a call.

        `skip` is the number of earlier calls.
        """

        def silent() -> bool:
            return any(
                call.silent.is_set() and self._loop.read_from_engine[call.port] == call.sent
                for call in engine.calls(path)[skip:]
            )

        assert eventually(silent)
        self.put_forward(seconds)

    @contextmanager
    def busy_with_a_large_body(self) -> Iterator[None]:
        """Keep the thread for large bodies busy while the block runs."""
        begun, over = threading.Event(), threading.Event()

        def job() -> bool:
            begun.set()
            return over.wait(TIMEOUT_SECONDS)

        work = self.app.ctx.large_bodies.work(job)
        done = asyncio.run_coroutine_threadsafe(work, self._loop)
        assert begun.wait(TIMEOUT_SECONDS)
        try:
            yield
        finally:
            over.set()
            assert done.result(TIMEOUT_SECONDS)

    def begin_stop(self) -> None:
        """Tell the proxy that it is stopping, as a shutdown does first."""
        self._loop.call_soon_threadsafe(self.app.ctx.stopping.set)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(TIMEOUT_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        metrics = ProxyMetrics()
        self.app = create_app(
            self.settings,
            engine=HttpEngine(self.settings, metrics, self.clock),
            metrics=metrics,
            clock=self.clock,
        )
        server: Any = await self.app.create_server(  # Sanic's class has no types
            sock=self._listener, protocol=_CountingConnection, return_asyncio_server=True
        )
        await server.startup()
        await server.before_start()
        await server.after_start()
        await server.start_serving()
        self._ready.set()
        await self._stop.wait()
        await server.before_stop()
        closed = server.close()
        for connection in list(server.connections):
            connection.abort()
        await closed
        await server.after_stop()
