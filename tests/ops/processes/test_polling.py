from collections.abc import Callable, Iterator

import pytest

from ops.processes.polling import Poller
from tests.ops.clock import Clock


def reading(values: Iterator[int]) -> Callable[[], int]:
    return lambda: next(values)


def test_a_good_value_is_returned_at_once() -> None:
    clock = Clock()
    poller = Poller(interval_seconds=1, clock=clock, sleep=clock.sleep)

    assert poller.until(reading(iter([1, 2, 3])), lambda value: value == 2, timeout=10) == 2
    assert clock.now == 101


@pytest.mark.parametrize(("max_seconds", "reads"), [(None, 5), (2, 3), (0, 1), (100, 5)])
def test_after_the_timeout_the_last_value_is_returned(
    max_seconds: float | None, reads: int
) -> None:
    clock = Clock()
    poller = Poller(max_seconds, 1, clock, clock.sleep)

    assert poller.until(reading(iter(range(1, 9))), lambda _: False, timeout=4) == reads
