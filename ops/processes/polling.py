"""Poll until a condition holds or a timeout passes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

Value = TypeVar("Value")
INTERVAL_SECONDS = 0.2


@dataclass(frozen=True)
class Poller:
    """Polls, with an optional upper bound for every timeout.

    Attributes:
        max_seconds: Shortens every longer timeout; None leaves each as it is.
        interval_seconds: Time between two polls.
        clock: Monotonic clock, in seconds.
        sleep: Sleeps for some seconds.
    """

    max_seconds: float | None = None
    interval_seconds: float = INTERVAL_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(
        self, read: Callable[[], Value], good: Callable[[Value], bool], *, timeout: float
    ) -> Value:
        """Read a value until it is good or ``timeout`` seconds have passed.

        Returns:
            The last value read, good or not. It is read at least once.
        """
        limit = timeout if self.max_seconds is None else min(timeout, self.max_seconds)
        deadline = self.clock() + limit
        while True:
            value = read()
            if good(value) or self.clock() >= deadline:
                return value
            self.sleep(self.interval_seconds)
