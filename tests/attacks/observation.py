"""What is observed during the attacks: ``/livez``, the scrapes, and the proxy's memory."""

import http.client
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from infra.topology import PROXY
from monitoring.names import SCRAPE_TIMEOUT_SECONDS
from tests.attacks.proxy import AttackedProxy, Memory

LIVEZ_PER_SECOND: Final = 10
# As Docker's health check, with room for what would be reported as late.
LIVEZ_TIMEOUT_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05
# Health checks and scrapes come from another address than the attacks, as they do in the stack.
_SOURCE: Final = ("127.0.0.2", 0)


@dataclass(frozen=True)
class Event:
    """A request of an observer or of an ordinary client.

    Attributes:
        seconds: How long it took.
        failure: Why it failed; empty if it succeeded.
        refused: Whether it failed because the queue is full, with Ollama's own 503.
    """

    seconds: float
    failure: str = ""
    refused: bool = False


class Events:
    """Events of one sort, in the order in which they ended. Safe to use from any thread."""

    def __init__(self) -> None:
        self._all: list[Event] = []
        self._lock = threading.Lock()

    def time(self, work: Callable[[], None], *, since: float | None = None) -> None:
        """Do something that raises an exception if it fails, and record how it ended."""
        began, failure = since or time.monotonic(), ""
        try:
            work()
        except Exception as error:  # noqa: BLE001  whatever went wrong is reported
            failure = repr(error)
        self.add(Event(time.monotonic() - began, failure))

    def add(self, event: Event) -> None:
        """Record an event."""
        with self._lock:
            self._all.append(event)

    def __len__(self) -> int:
        """Return the number of events since the last `take`."""
        return len(self._all)

    def take(self) -> list[Event]:
        """Return the events since the last call, and forget them."""
        with self._lock:
            taken, self._all = self._all, []
        return taken


class MemoryWatch:
    """Looks at the proxy's memory all the time, which also keeps a process within its limit."""

    def __init__(self, proxy: AttackedProxy) -> None:
        self._proxy = proxy
        self._last = Memory(0, 0)
        self._peak = 0

    def look(self) -> None:
        """Look once."""
        memory = self._proxy.look()
        if memory is None:
            return
        # A new record may have come and gone between two looks.
        record = memory.most if memory.most > self._last.most else 0
        self._peak = max(self._peak, memory.now, record)
        self._last = memory

    @property
    def now(self) -> int:
        """Resident memory in bytes."""
        return self._last.now

    def take_peak(self) -> int:
        """Return the peak since the last call, in bytes."""
        peak, self._peak = self._peak, self._last.now
        return peak


@contextmanager
def watching(watch: MemoryWatch) -> Iterator[None]:
    """Look at the memory while the block runs."""
    with _repeating(watch.look, _LOOK_SECONDS):
        yield


@contextmanager
def asking_livez(netloc: str, events: Events) -> Iterator[None]:
    """Ask ``/livez`` ten times per second, however long the answers take.

    Each request has a connection of its own, as that of a health check.
    """
    workers = int(LIVEZ_PER_SECOND * LIVEZ_TIMEOUT_SECONDS * 2)
    with ThreadPoolExecutor(workers) as pool:

        def ask() -> None:
            began = time.monotonic()
            pool.submit(
                events.time,
                lambda: get(netloc, PROXY.health_path, LIVEZ_TIMEOUT_SECONDS),
                since=began,
            )

        with _repeating(ask, 1 / LIVEZ_PER_SECOND):
            yield


@contextmanager
def scraping(netloc: str, key: str, events: Events, *, every_seconds: float) -> Iterator[None]:
    """Scrape the metrics now and then, with Prometheus' timeout."""
    headers = {"Authorization": f"Bearer {key}"}

    def scrape() -> None:
        events.time(lambda: get(netloc, "/metrics", SCRAPE_TIMEOUT_SECONDS, headers))

    with _repeating(scrape, every_seconds):
        yield


def get(netloc: str, path: str, timeout: float, headers: dict[str, str] | None = None) -> None:
    """GET a path on a new connection.

    Raises:
        OSError, HTTPException: There is no whole response in time, or its status isn't 200.
    """
    deadline = time.monotonic() + timeout
    connection = http.client.HTTPConnection(netloc, timeout=timeout, source_address=_SOURCE)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise http.client.HTTPException(f"status {response.status}: {body[:200]!r}")
    if time.monotonic() > deadline:
        raise TimeoutError(f"no response within {timeout:g} s")


@contextmanager
def _repeating(work: Callable[[], None], seconds: float) -> Iterator[None]:
    """Call a function at regular times while the block runs; late calls don't delay the others."""
    stop = threading.Event()

    def run() -> None:
        due = time.monotonic()
        while not stop.wait(max(due - time.monotonic(), 0)):
            work()
            due = max(due + seconds, time.monotonic() - seconds)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
