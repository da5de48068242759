"""Wait for a condition with a deadline: the only place where the checks pass time."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
PAUSE_SECONDS = 0.2


def until(look: Callable[[], Found], good: Callable[[Found], bool], *, seconds: float) -> Found:
    """Look until what is found is good or the time is over; return what was found last."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if good(found) or time.monotonic() >= deadline:
            return found
        time.sleep(PAUSE_SECONDS)
