"""Time, passed in wherever it is needed so that tests can set it."""

import time
from datetime import UTC, datetime
from typing import Protocol

from proxy_service.translate.replies import Moment
from proxy_service.wire.ollama import timestamp

NS_PER_SECOND = 1_000_000_000


class Clock(Protocol):
    """What the proxy asks of a clock."""

    def now(self) -> datetime:
        """Give the time of day, UTC."""

    def monotonic(self) -> float:
        """Give seconds that never run backwards."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Give the time of day, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give seconds that never run backwards."""
        return time.monotonic()


def moment(clock: Clock, since: float) -> Moment:
    """Give the present, counted from ``since`` on the monotonic clock."""
    elapsed_ns = round((clock.monotonic() - since) * NS_PER_SECOND)
    return Moment(timestamp(clock.now()), max(elapsed_ns, 1))
