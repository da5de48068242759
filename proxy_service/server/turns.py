"""How many requests begin in one round of the event loop."""

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Final, Protocol

# Requests that begin in one round. A cheap one takes some 150 µs.
_IN_A_ROUND: Final = 64


class Waiting(Protocol):
    """Whoever waits for a turn."""

    def begin(self) -> None:
        """Begin; it is the turn now."""


class Turns:
    """Lets a limited number of requests begin in each round of the event loop.

    The loop runs everything that is ready before it looks for new data and new connections. Without
    a limit, thousands of requests that arrive at once, or that were pipelined, would make everyone
    else wait for seconds.

    Args:
        urgent_paths: Paths of requests that don't wait, which must be cheap.
    """

    __slots__ = ("_begun", "_urgent_paths", "_waiting")

    def __init__(self, urgent_paths: Collection[str]) -> None:
        self._urgent_paths = urgent_paths
        self._begun = 0
        self._waiting: deque[Waiting] = deque()

    def take(self, path: str) -> bool:
        """Return whether a request for this path may begin in this round."""
        if path in self._urgent_paths:
            return True
        if self._begun >= _IN_A_ROUND:
            return False
        self._count()
        return True

    def wait(self, waiting: Waiting) -> None:
        """Call ``waiting.begin`` in one of the next rounds, in the order of these calls."""
        self._waiting.append(waiting)

    def _count(self) -> None:
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._next_round)
        self._begun += 1

    def _next_round(self) -> None:
        self._begun = 0
        for _ in range(min(len(self._waiting), _IN_A_ROUND)):
            self._count()
            self._waiting.popleft().begin()
