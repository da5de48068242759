"""Faults during the soak test: the engine is killed, or hangs, or gets too many requests."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from tests.soak.explanation import Window
from tests.soak.system import ENGINE_TIMEOUT_SECONDS, SystemUnderTest

_RESTART_AFTER_SECONDS: Final = (0.0, 3.0)
_SHORT_PAUSE_SECONDS: Final = (0.2, ENGINE_TIMEOUT_SECONDS / 2)
_LONG_PAUSE_SECONDS: Final = (ENGINE_TIMEOUT_SECONDS + 1, ENGINE_TIMEOUT_SECONDS + 4)
_OVERLOAD_SECONDS: Final = (2.0, 5.0)


class FaultInjector:
    """Injects a random fault now and then.

    ``windows`` has the time of each fault, from its beginning until the engine is ready again.

    Args:
        system: The services.
        seed: Determines the faults and their times.
        between_seconds: Shortest and longest time between two faults.
        overload: Returns a context manager that sends more requests than the proxy admits.
    """

    def __init__(
        self,
        system: SystemUnderTest,
        seed: int,
        between_seconds: tuple[float, float],
        overload: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.windows: list[Window] = []
        self._system = system
        self._random = random.Random(seed)  # noqa: S311 (a reproducible order, no secret)
        self._between_seconds = between_seconds
        self._overload = overload
        self._stop = threading.Event()

    @property
    def injected(self) -> Counter[str]:
        """The number of faults by kind."""
        return Counter(window.kind for window in self.windows)

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
        faults: dict[str, Callable[[], None]] = {
            "killed": self._kill,
            "paused": lambda: self._pause_for(_SHORT_PAUSE_SECONDS),
            "paused beyond the timeout": lambda: self._pause_for(_LONG_PAUSE_SECONDS),
            "overloaded": self._send_too_much,
        }
        while not self._stop.wait(self._random.uniform(*self._between_seconds)):
            kind = self._random.choice([*faults])
            began = time.monotonic()
            faults[kind]()
            self._system.await_engine()
            self.windows.append(Window(kind, began, time.monotonic()))

    def _kill(self) -> None:
        self._system.kill_engine()
        self._stop.wait(self._random.uniform(*_RESTART_AFTER_SECONDS))
        self._system.start_engine()

    def _pause_for(self, seconds: tuple[float, float]) -> None:
        self._system.pause_engine()
        threading.Event().wait(self._random.uniform(*seconds))
        self._system.resume_engine()

    def _send_too_much(self) -> None:
        with self._overload():
            self._stop.wait(self._random.uniform(*_OVERLOAD_SECONDS))
