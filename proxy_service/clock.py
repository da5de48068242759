"""The time, passed in wherever it is needed so that tests can set it."""

import time
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple, Protocol

NS_PER_SECOND = 1_000_000_000


class Clock(Protocol):
    """The clock that the proxy needs."""

    def time_ns(self) -> int:
        """Return the time of day, in ns since 1970 (UTC)."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""


class SystemClock:
    """The machine's clock."""

    time_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)


class Moment(NamedTuple):
    """A time: ``created_at`` as Ollama writes it, and the ns since the request's head."""

    created_at: str
    elapsed_ns: int


def moment(clock: Clock, since: float) -> Moment:
    """Return the current time; ``since`` is when the request began, in monotonic seconds."""
    elapsed_ns = int((clock.monotonic() - since) * NS_PER_SECOND)
    return Moment(timestamp(clock.time_ns()), elapsed_ns or 1)


def timestamp(time_ns: int) -> str:
    """Return a time of day as Ollama writes it: RFC 3339, UTC, with microseconds."""
    seconds, nanoseconds = divmod(time_ns, NS_PER_SECOND)
    return f"{_second(seconds)}.{nanoseconds // 1000:06d}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    """Return a whole second without its zone; cached, because each is needed many times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


@lru_cache(maxsize=1)
def http_date(seconds: int) -> str:
    """Return a whole second in the format of HTTP's ``Date`` header (RFC 9110, 5.6.7)."""
    return formatdate(seconds, usegmt=True)
