"""How many requests may have the engine at work at once, and how many may wait for that.

Bounds what a crowd of clients can pile up: a request beyond the first limit waits its turn, one
beyond the second is refused at once. First come, first served. A client that leaves gives up
its place in the queue.
"""

import asyncio
from contextlib import AbstractAsyncContextManager

from proxy_service.clock import Clock
from proxy_service.errors import Overloaded, ShuttingDown
from proxy_service.settings import ProxySettings
from proxy_service.telemetry.metrics import ProxyMetrics


class Admission:
    """The places at the engine, and the queue for them."""

    def __init__(self, settings: ProxySettings, *, metrics: ProxyMetrics, clock: Clock) -> None:
        self._slots = asyncio.Semaphore(settings.max_concurrent_requests)
        self._queue_limit = settings.max_queued_requests
        self._waiting = 0
        self._metrics = metrics
        self._clock = clock
        self._closed = False
        metrics.running_limit.set(settings.max_concurrent_requests)
        metrics.queued_limit.set(settings.max_queued_requests)

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Hold one of the places while the context is open, waiting for it if need be.

        Raises:
            Overloaded: The queue is full.
            ShuttingDown: The queue was closed.
        """
        return _Slot(self)

    async def acquire(self) -> None:
        """Take a place; see `slot`."""
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()
        if self._closed:
            self._slots.release()
            raise ShuttingDown
        self._metrics.running_requests.inc()

    def release(self) -> None:
        """Give a place back."""
        self._metrics.running_requests.dec()
        self._slots.release()

    def close(self) -> None:
        """Refuse everyone who waits, and whoever comes from now on."""
        self._closed = True
        self._slots.release()  # wakes the first, who wakes the next by leaving

    async def _wait(self) -> None:
        if self._waiting >= self._queue_limit:
            raise Overloaded
        since = self._clock.monotonic()
        self._waiting += 1
        self._metrics.queued_requests.inc()
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
            self._metrics.queued_requests.dec()
            self._metrics.queue_wait.observe(self._clock.monotonic() - since)


class _Slot(AbstractAsyncContextManager[None]):
    """A place at the engine; as a class because every generation takes one."""

    __slots__ = ("_admission",)

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def __aenter__(self) -> None:
        await self._admission.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._admission.release()
