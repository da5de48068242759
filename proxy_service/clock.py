"""Time, passed in wherever it is needed so that tests can set it."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from proxy_service.translate.replies import Moment

NS_PER_SECOND = 1_000_000_000


class Clock(Protocol):
    """What the proxy asks of a clock."""

    def time_ns(self) -> int:
        """Give the time of day, in nanoseconds since 1970."""

    def monotonic(self) -> float:
        """Give seconds that never run backwards."""


class SystemClock:
    """The machine's clock."""

    def time_ns(self) -> int:
        """Give the time of day, in nanoseconds since 1970."""
        return time.time_ns()

    def monotonic(self) -> float:
        """Give seconds that never run backwards."""
        return time.monotonic()


def moment(clock: Clock, since: float) -> Moment:
    """Give the present, counted from ``since`` on the monotonic clock."""
    seconds, nanoseconds = divmod(clock.time_ns(), NS_PER_SECOND)
    elapsed_ns = round((clock.monotonic() - since) * NS_PER_SECOND)
    return Moment(f"{_second(seconds)}.{nanoseconds // 1000:06d}Z", max(elapsed_ns, 1))


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """Write a second as `wire.ollama.timestamp` does; each is asked for many times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")
