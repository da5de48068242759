"""What happens to the engine meanwhile: it dies and comes back, it hangs for a while."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.soak.parts import SILENCE_SECONDS, Parts

_QUIET_SECONDS: Final = (5.0, 12.0)
_AWAY_SECONDS: Final = (0.0, 3.0)
_SHORT_PAUSE_SECONDS: Final = (0.2, SILENCE_SECONDS / 2)
_LONG_PAUSE_SECONDS: Final = (SILENCE_SECONDS + 1, SILENCE_SECONDS + 4)


class Tormentor:
    """Breaks the engine now and then; ``done`` counts what was done."""

    def __init__(self, parts: Parts, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._parts = parts
        self._random = random.Random(seed)  # noqa: S311 (a reproducible order, no secret)
        self._stop = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Break the engine while the block runs; it is well again at its end."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _work(self) -> None:
        faults: tuple[Callable[[], None], ...] = (self._kill, self._pause, self._hang)
        while not self._stop.wait(self._random.uniform(*_QUIET_SECONDS)):
            self._random.choice(faults)()
            self._parts.await_engine()

    def _kill(self) -> None:
        self._parts.kill_engine()
        self.done["killed"] += 1
        self._stop.wait(self._random.uniform(*_AWAY_SECONDS))
        self._parts.start_engine()

    def _pause(self) -> None:
        self._hold(_SHORT_PAUSE_SECONDS)
        self.done["paused"] += 1

    def _hang(self) -> None:
        self._hold(_LONG_PAUSE_SECONDS)
        self.done["hung beyond the time-out"] += 1

    def _hold(self, seconds: tuple[float, float]) -> None:
        self._parts.pause_engine()
        threading.Event().wait(self._random.uniform(*seconds))
        self._parts.go_on()
