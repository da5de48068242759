"""Time, passed in wherever it is needed so that tests can set it."""

import time
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple, Protocol

NS_PER_SECOND = 1_000_000_000


class Clock(Protocol):
    """What the proxy asks of a clock."""

    def time_ns(self) -> int:
        """Give the time of day, in nanoseconds since 1970."""

    def monotonic(self) -> float:
        """Give seconds that never run backwards."""


class SystemClock:
    """The machine's clock."""

    time_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)


class Moment(NamedTuple):
    """When something happened: ``created_at`` as Ollama writes it, and ns since the request."""

    created_at: str
    elapsed_ns: int


def moment(clock: Clock, since: float) -> Moment:
    """Give the present, counted from ``since`` on the monotonic clock."""
    elapsed_ns = int((clock.monotonic() - since) * NS_PER_SECOND)
    return Moment(timestamp(clock.time_ns()), elapsed_ns or 1)


def timestamp(time_ns: int) -> str:
    """Return a time of day as Ollama writes it: RFC 3339, UTC, with microseconds."""
    seconds, nanoseconds = divmod(time_ns, NS_PER_SECOND)
    return f"{_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """Write a whole second; each is asked for many times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


@lru_cache(maxsize=1)
def http_date(seconds: int) -> str:
    """Write a whole second as HTTP's ``Date`` has it (RFC 9110, 5.6.7)."""
    return formatdate(seconds, usegmt=True)
