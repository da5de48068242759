"""A finding to which nothing needs to be done, for tests."""

from typing import Final

from tests.attacks.findings import Finding, Limits, Sent, Times
from tests.attacks.observation import Event
from tests.attacks.proxy import MIB

LIMITS: Final = Limits()
QUICK: Final = Event(0.01)
SLOW: Final = Event(0.3)

FINE: Final = Finding(
    name="an-attack",
    sent=Sent(connections=1, requests=1, sent_bytes=10, answers={"431": 1}),
    livez=Times.of([QUICK] * 99 + [SLOW], LIMITS.livez_seconds),
    clients=Times.of([QUICK]),
    scrapes=Times.of([QUICK]),
    memory_before=50 * MIB,
    memory_peak=200 * MIB,
    memory_after=60 * MIB,
)
