"""Which bodies give way to others when there is no room for all of them."""

import pytest

from proxy_service.errors import Overloaded
from proxy_service.server.budgets import (
    FAIR_BYTES_PER_SECOND,
    FAIR_SECONDS,
    SMALL_BODY_BYTES,
    BodyBudget,
    Reservation,
)
from tests.proxy.running import SteppedClock

LIMIT = 3 * SMALL_BODY_BYTES
LARGE = LIMIT // 2
SLOW_BYTES = int(FAIR_BYTES_PER_SECOND * FAIR_SECONDS) - 1


class Bodies:
    """Bodies that share a budget, and the order in which they gave way."""

    def __init__(self, *, small_limit_bytes: int = LIMIT) -> None:
        self.clock = SteppedClock()
        self.gone: list[str] = []
        self._budget = BodyBudget(LIMIT, self.clock, small_limit_bytes=small_limit_bytes)

    def open(self, name: str, size: int) -> Reservation:
        def give_way() -> None:
            self.gone.append(name)
            body.release()

        body = self._budget.open(give_way)
        self._budget.grow(body, size)
        return body

    def grow(self, body: Reservation, size: int) -> None:
        self._budget.grow(body, size)


def test_the_slowest_unfinished_body_gives_way() -> None:
    bodies = Bodies()
    bodies.open("slow", SMALL_BODY_BYTES + 1)
    bodies.clock.ahead_seconds = 10.0
    bodies.open("quick", SMALL_BODY_BYTES + 1)
    bodies.clock.ahead_seconds = 20.0
    bodies.open("new", LARGE)

    assert bodies.gone == ["slow"]


@pytest.mark.parametrize("seconds", [FAIR_SECONDS / 2, SMALL_BODY_BYTES / FAIR_BYTES_PER_SECOND])
def test_bodies_that_arrive_quickly_enough_stay(seconds: float) -> None:
    bodies = Bodies()
    for name in ("a", "b"):
        bodies.open(name, LARGE)
    bodies.clock.ahead_seconds = seconds

    with pytest.raises(Overloaded):
        bodies.open("new", LARGE)
    assert bodies.gone == []


def test_a_complete_body_stays() -> None:
    bodies = Bodies()
    for name in ("a", "b"):
        bodies.open(name, LARGE).finished = True
    bodies.clock.ahead_seconds = 1000.0

    with pytest.raises(Overloaded):
        bodies.open("new", LARGE)
    assert bodies.gone == []


def test_large_bodies_leave_room_for_small_ones() -> None:
    bodies = Bodies()
    for name in ("a", "b"):
        bodies.open(name, LARGE)

    bodies.open("small", SMALL_BODY_BYTES)

    assert bodies.gone == []


def test_small_bodies_that_drip_give_way_to_small_ones() -> None:
    bodies = Bodies(small_limit_bytes=SMALL_BODY_BYTES)
    for number in range(4):
        bodies.open(f"drip {number}", SMALL_BODY_BYTES // 4)
    bodies.clock.ahead_seconds = 60.0

    bodies.open("small", SMALL_BODY_BYTES // 2)

    assert len(bodies.gone) == 2


def test_a_body_that_grows_moves_to_the_room_for_large_ones() -> None:
    bodies = Bodies(small_limit_bytes=SMALL_BODY_BYTES)
    growing = bodies.open("growing", SMALL_BODY_BYTES)
    bodies.grow(growing, 1)
    bodies.open("small", SMALL_BODY_BYTES)
    bodies.grow(growing, LIMIT - SMALL_BODY_BYTES - 1)
    with pytest.raises(Overloaded):
        bodies.grow(growing, 1)

    growing.release()
    growing.release()

    bodies.open("large", LIMIT)
    with pytest.raises(Overloaded):
        bodies.open("larger", SMALL_BODY_BYTES + 1)
