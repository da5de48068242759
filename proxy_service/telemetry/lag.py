"""The event loop's lag: how late its callbacks run when the proxy has too much to do.

The whole proxy runs on one loop. A slow callback delays every stream by its duration, and no other
metric distinguishes that from a slow engine.
"""

import asyncio
from collections import deque

from proxy_service.clock import Clock
from proxy_service.telemetry.instruments import Gauge

# Seconds between two samples.
_PAUSE_SECONDS = 0.5
# Samples that the gauge covers: 15 seconds of them, so that each scrape shows the time since the
# last one.
_SAMPLES = 30


class LagMeter:
    """Keeps a gauge at the longest recent delay, in seconds."""

    def __init__(self, gauge: Gauge, clock: Clock) -> None:
        self._gauge = gauge
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start sampling."""
        self._task = asyncio.create_task(self._measure())

    def stop(self) -> None:
        """Stop sampling."""
        if self._task is not None:
            self._task.cancel()

    async def _measure(self) -> None:
        late: deque[float] = deque(maxlen=_SAMPLES)
        while True:
            due = self._clock.monotonic() + _PAUSE_SECONDS
            await asyncio.sleep(_PAUSE_SECONDS)
            late.append(max(self._clock.monotonic() - due, 0.0))
            self._gauge.set(max(late))
