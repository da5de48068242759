"""How late the event loop is: the one measure of a proxy that has too much to do at once.

Everything here runs on one loop. A callback that takes long holds up every stream by as much, and
no other metric tells that apart from a slow engine.
"""

import asyncio
from collections import deque

from proxy_service.clock import Clock
from proxy_service.telemetry.instruments import Gauge

# Seconds between two looks.
_PAUSE_SECONDS = 0.5
# Looks that the gauge remembers, 15 seconds of them: a scrape is shown what came since the last.
_REMEMBERED = 30


class LagMeter:
    """Sets a gauge to the longest delay of late, in seconds, as long as it runs."""

    def __init__(self, gauge: Gauge, clock: Clock) -> None:
        self._gauge = gauge
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to measure."""
        self._task = asyncio.create_task(self._measure())

    def stop(self) -> None:
        """Measure no more."""
        if self._task is not None:
            self._task.cancel()

    async def _measure(self) -> None:
        late: deque[float] = deque(maxlen=_REMEMBERED)
        while True:
            due = self._clock.monotonic() + _PAUSE_SECONDS
            await asyncio.sleep(_PAUSE_SECONDS)
            late.append(max(self._clock.monotonic() - due, 0.0))
            self._gauge.set(max(late))
