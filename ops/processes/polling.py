"""Poll until a condition holds or a timeout passes. The commands sleep only here."""

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
    """

    max_seconds: float | None = None

    def until(
        self, read: Callable[[], Value], good: Callable[[Value], bool], *, timeout: float
    ) -> Value:
        """Read a value until it is good or ``timeout`` seconds have passed.

        Returns:
            The last value read, good or not. It is read at least once.
        """
        limit = timeout if self.max_seconds is None else min(timeout, self.max_seconds)
        deadline = time.monotonic() + limit
        while True:
            value = read()
            if good(value) or time.monotonic() >= deadline:
                return value
            time.sleep(INTERVAL_SECONDS)
