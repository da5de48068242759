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

    def open(self, name: str, size: int, *, sender: str = "") -> Reservation:
        def give_way() -> None:
            self.gone.append(name)
            body.release()

        body = self._budget.open(sender, give_way)
        self._budget.grow(body, size)
        return body

    def grow(self, body: Reservation, size: int) -> None:
        self._budget.grow(body, size)

    def replace(self, body: Reservation, size: int) -> None:
        self._budget.replace(body, size)


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


def test_a_sender_with_several_bodies_gives_way_to_one_with_less() -> None:
    """However quickly they arrive; the newest of them does."""
    bodies = Bodies()
    for number in range(3):
        bodies.open(f"greedy {number}", SMALL_BODY_BYTES, sender="greedy")
        bodies.clock.ahead_seconds += FAIR_SECONDS / 10
    other = bodies.open("other", SMALL_BODY_BYTES // 2, sender="other")
    bodies.grow(other, SMALL_BODY_BYTES // 2)
    bodies.open("third", SMALL_BODY_BYTES, sender="third")

    assert bodies.gone == ["greedy 2", "greedy 1"]


def test_the_only_body_of_a_sender_stays() -> None:
    """Otherwise, many senders would keep each other from completing one."""
    bodies = Bodies()
    for name in ("a", "b", "c"):
        bodies.open(name, SMALL_BODY_BYTES, sender=name)

    with pytest.raises(Overloaded):
        bodies.open("d", SMALL_BODY_BYTES, sender="d")
    assert bodies.gone == []


def test_complete_bodies_stay_although_their_sender_has_several() -> None:
    bodies = Bodies()
    for number in range(3):
        bodies.open(f"greedy {number}", SMALL_BODY_BYTES, sender="greedy").finished = True

    with pytest.raises(Overloaded):
        bodies.open("other", SMALL_BODY_BYTES, sender="other")
    assert bodies.gone == []


def test_a_sender_that_holds_more_gets_nothing_from_others() -> None:
    bodies = Bodies()
    for name, sender in (("a", "few"), ("b", "few"), ("c", "many")):
        bodies.open(name, SMALL_BODY_BYTES, sender=sender)

    with pytest.raises(Overloaded):
        bodies.open("d", SMALL_BODY_BYTES, sender="many")
    assert bodies.gone == []


def test_what_a_body_becomes_takes_the_place_of_it() -> None:
    bodies = Bodies(small_limit_bytes=SMALL_BODY_BYTES)
    body = bodies.open("body", SMALL_BODY_BYTES)
    bodies.replace(body, LIMIT)
    bodies.open("small", SMALL_BODY_BYTES)
    with pytest.raises(Overloaded):
        bodies.open("large", SMALL_BODY_BYTES + 1)

    bodies.replace(body, 0)
    bodies.open("large", LIMIT)
    with pytest.raises(Overloaded):
        bodies.replace(body, LIMIT)


def test_a_slow_body_gives_way_also_after_others_were_refused() -> None:
    """A search that finds no slow body isn't repeated at once, since it looks at all of them."""
    bodies = Bodies()
    bodies.open("slow", LARGE)
    bodies.open("other", LARGE)
    for _ in range(3):
        with pytest.raises(Overloaded):
            bodies.open("refused", LARGE)
    bodies.clock.ahead_seconds = 3600.0
    bodies.open("new", LARGE)

    assert bodies.gone == ["slow"]
