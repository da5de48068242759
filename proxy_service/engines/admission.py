"""Admission to the engine: how many requests it may work on at once, and how many may wait.

A request beyond the first limit waits in the queue; one beyond the second limit is refused at
once. This protects the proxy from floods of requests. The queue is first in, first out. A client
that disconnects leaves the queue.
"""

import asyncio
from contextlib import AbstractAsyncContextManager

from proxy_service.clock import Clock
from proxy_service.errors import Overloaded, ShuttingDown
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.metrics import ProxyMetrics


class Admission:
    """Assigns the engine's slots, and keeps the queue for them."""

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
        """Return a context that holds a slot while it is open; entering it may wait.

        Raises:
            Overloaded: The queue is full.
            ShuttingDown: The queue was closed.
        """
        return _Slot(self)

    async def acquire(self) -> None:
        """Take a slot; see `slot`."""
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()
        if self._closed:
            self._slots.release()
            raise ShuttingDown
        self._metrics.running_requests.inc()

    def release(self) -> None:
        """Return a slot."""
        self._metrics.running_requests.dec()
        self._slots.release()

    def close(self) -> None:
        """Refuse all requests that wait, and all later ones."""
        self._closed = True
        # Wakes the first in the queue; each one that is refused wakes the next.
        self._slots.release()

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
    """One slot; a class because each generation needs one, and a generator costs more."""

    __slots__ = ("_admission",)

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    async def __aenter__(self) -> None:
        await self._admission.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._admission.release()
