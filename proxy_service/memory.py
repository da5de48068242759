"""Gives memory that the process has freed back to the system.

The C library keeps what it can't cut off at the end of its heap. After hundreds of large requests,
that may be more than everything else. It would stay next to what other kinds of requests need, and
a container has a limit.
"""

import asyncio
import ctypes
import resource
from collections.abc import Callable
from pathlib import Path

# Seconds between two checks. Looking for free memory takes some milliseconds, in which the event
# loop stands still.
PAUSE_SECONDS = 30.0
# Bytes by which the process must have grown since its start.
WORTHWHILE_BYTES = 32 * 1024 * 1024


class MemoryTrimmer:
    """Trims the heap of a process that has grown.

    Args:
        resident: Returns how many bytes of memory the process takes.
        trim: Gives back what it can.
    """

    def __init__(self, resident: Callable[[], int], trim: Callable[[], object]) -> None:
        self._resident = resident
        self._trim = trim
        self._limit = resident() + WORTHWHILE_BYTES
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start checking."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Stop checking."""
        if self._task is not None:
            self._task.cancel()

    def check(self) -> None:
        """Trim the heap if the process takes much more memory than at its start."""
        if self._resident() > self._limit:
            self._trim()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            self.check()


def memory_trimmer() -> MemoryTrimmer:
    """Return the trimmer of this process; it does nothing without Linux and the GNU C library."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    statm = Path("/proc/self/statm")  # in pages; the second number is the resident memory
    if trim is None or not statm.exists():
        return MemoryTrimmer(lambda: 0, lambda: None)
    page_bytes = resource.getpagesize()
    return MemoryTrimmer(lambda: int(statm.read_text().split()[1]) * page_bytes, lambda: trim(0))
