"""Lets threads do something one after the other, in the order in which they asked."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock that is first come, first served; `threading.Lock` promises no order."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        # Set once the last thread that asked has had its turn.
        self._last_turn_over = threading.Event()
        self._last_turn_over.set()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for all that asked earlier; the turn lasts until the block ends."""
        over = threading.Event()
        with self._asking:
            before, self._last_turn_over = self._last_turn_over, over
        before.wait()
        try:
            yield
        finally:
            over.set()
