"""Wait for a condition until a deadline; the commands sleep nowhere else."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Found = TypeVar("Found")
PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Polling:
    """How long checks wait at most.

    Attributes:
        limit_seconds: Upper bound of every wait; None leaves each its own deadline.
    """

    limit_seconds: float | None = None

    def until(
        self, look: Callable[[], Found], good: Callable[[Found], bool], *, seconds: float
    ) -> Found:
        """Call ``look`` until its result is good or the time is over; return the last result."""
        limit = seconds if self.limit_seconds is None else min(seconds, self.limit_seconds)
        deadline = time.monotonic() + limit
        while True:
            found = look()
            if good(found) or time.monotonic() >= deadline:
                return found
            time.sleep(PAUSE_SECONDS)
