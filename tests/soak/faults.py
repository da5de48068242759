"""Faults of the engine during the soak test: it is killed and restarted, or hangs for a while."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.soak.system import ENGINE_TIMEOUT_SECONDS, SystemUnderTest

_BETWEEN_FAULTS_SECONDS: Final = (5.0, 12.0)
_RESTART_AFTER_SECONDS: Final = (0.0, 3.0)
_SHORT_PAUSE_SECONDS: Final = (0.2, ENGINE_TIMEOUT_SECONDS / 2)
_LONG_PAUSE_SECONDS: Final = (ENGINE_TIMEOUT_SECONDS + 1, ENGINE_TIMEOUT_SECONDS + 4)


class FaultInjector:
    """Injects a random fault into the engine now and then. ``injected`` counts them by kind."""

    def __init__(self, system: SystemUnderTest, seed: int) -> None:
        self.injected: Counter[str] = Counter()
        self._system = system
        self._random = random.Random(seed)  # noqa: S311 (a reproducible order, no secret)
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Inject faults while the block runs. At its end the engine is healthy again."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _run(self) -> None:
        faults: tuple[Callable[[], None], ...] = (self._kill, self._pause, self._hang)
        while not self._stop.wait(self._random.uniform(*_BETWEEN_FAULTS_SECONDS)):
            self._random.choice(faults)()
            self._system.await_engine()

    def _kill(self) -> None:
        self._system.kill_engine()
        self.injected["killed"] += 1
        self._stop.wait(self._random.uniform(*_RESTART_AFTER_SECONDS))
        self._system.start_engine()

    def _pause(self) -> None:
        self._pause_for(_SHORT_PAUSE_SECONDS)
        self.injected["paused"] += 1

    def _hang(self) -> None:
        self._pause_for(_LONG_PAUSE_SECONDS)
        self.injected["paused beyond the timeout"] += 1

    def _pause_for(self, seconds: tuple[float, float]) -> None:
        self._system.pause_engine()
        threading.Event().wait(self._random.uniform(*seconds))
        self._system.resume_engine()
