"""Work on large bodies, beside the event loop.

Reading or writing a body of 50 MiB takes a quarter of a second. In a thread, this work needn't keep
the event loop from running, but Python gives way only between two calls, and a call can take 60 ms.
If the thread made the next call at once, each of the loop's callbacks would wait for a whole call.
So the thread pauses after each long call, and the loop has time for all that is ready.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Final, TypeVar

_Result = TypeVar("_Result")

# Seconds of work after which the thread pauses, as soon as it is between two calls.
_WORK_SECONDS: Final = 0.005
# The shortest and the longest pause, in seconds; in between, it is a quarter of the work before it.
_PAUSES: Final = 0.002, 0.02


class LargeBodies:
    """Does work on large bodies, one after the other, so that their memory doesn't add up."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "large-bodies")

    async def work(self, job: Callable[[], _Result]) -> _Result:
        """Return what ``job`` returns; once begun it runs to its end, even if this is cancelled."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, partial(_with_pauses, job))

    def stop(self) -> None:
        """Begin no more work."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _with_pauses(job: Callable[[], _Result]) -> _Result:
    """Run a job, and pause between its calls."""
    since = time.monotonic()

    def look(frame: FrameType, event: str, argument: object) -> None:
        del frame, event, argument
        nonlocal since
        worked = time.monotonic() - since
        if worked > _WORK_SECONDS:
            shortest, longest = _PAUSES
            time.sleep(min(max(worked / 4, shortest), longest))
            since = time.monotonic()

    sys.setprofile(look)  # calls it before and after each call, in this thread only
    try:
        return job()
    finally:
        sys.setprofile(None)
