"""Looks for inputs whose cost is out of proportion to their size.

The cost of an input is the time of the thread that handles it, the best of several runs, so that a
busy machine can't make a finding; and the most memory that is held at once. Anything may be
slow or large once, but nothing may cost its sender little and the proxy much.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

from tests.fuzz.shapes import Shape, changed, random_shape, shapes_of
from tests.fuzz.work import IN_PIECES, WHOLE

WORK = (*WHOLE, *IN_PIECES)
# What 100 KB may take, and how many times its size an input may take in memory. A smaller input
# counts as this many bytes.
SECONDS = 0.020
MEMORY = 50
BYTES = 100_000
# What seems to take more than this part of what it may take is run again, this many times.
_SUSPECT = 0.5
_RUNS = 20
# Measuring memory takes ten times as long. To fill fifty times the size takes more than this part
# of the time that is allowed.
_WORTH_TRACING = 0.05
_BEST = 8  # shapes that are kept, and changed
_SIZE = BYTES  # of the shapes in the first round
# New objects after which the garbage collector runs, as in the proxy.
_COLLECT_AFTER = 10_000


@dataclass(frozen=True)
class Cost:
    """What an input takes of what it may take: 1.0 is the limit."""

    time: float
    memory: float

    @property
    def worst(self) -> float:
        """The greater one."""
        return max(self.time, self.memory)

    @property
    def milliseconds(self) -> float:
        """For each 100 KB."""
        return self.time * SECONDS * 1000

    @property
    def multiple(self) -> float:
        """How many times its size the input takes in memory."""
        return self.memory * MEMORY

    def __str__(self) -> str:
        """Return the figures."""
        return f"{self.milliseconds:.1f} ms per 100 KB, {self.multiple:.1f} times its size"


def call_of(shape: Shape) -> tuple[Callable[[], object], int]:
    """Return what handles the input, and the size of the input."""
    data = shape.data()
    if shape.work in WHOLE:
        return partial(WHOLE[shape.work], data), len(data)
    pieces = [data[at : at + shape.piece] for at in range(0, len(data), shape.piece)]
    return partial(IN_PIECES[shape.work], pieces), len(data)


def measured(shape: Shape) -> Cost:
    """Measure an input, and again what seems to be slow."""
    call, size = call_of(shape)
    counted = max(size, BYTES)
    allowed = SECONDS * counted / BYTES
    seconds = _seconds(call)
    for _ in range(_RUNS):
        if seconds < allowed * _SUSPECT:
            break
        seconds = min(seconds, _seconds(call))
    memory = peak_bytes(call) if seconds > allowed * _WORTH_TRACING else 0
    return Cost(seconds / allowed, memory / (MEMORY * counted))


def _seconds(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the most bytes that were allocated at once during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def search(work: str, seconds: float, seed: int) -> Iterator[tuple[Shape, Cost]]:
    """Yield each shape that is measured, in the order of a search for the most expensive ones.

    At first each unit is tried in each place; then random shapes, and changes of the best ones.
    """
    gc.set_threshold(_COLLECT_AFTER)
    random = Random(seed)  # noqa: S311  repeatable
    end = time.monotonic() + seconds
    best: list[tuple[float, Shape]] = []
    first = [*shapes_of(work, _SIZE)]
    random.shuffle(first)
    while time.monotonic() < end:
        if first:
            shape = first.pop()
        elif best and random.random() < 0.6:
            shape = changed(random.choice(best)[1], random)
        else:
            shape = random_shape(work, random)
        try:
            cost = measured(shape)
        except Exception as error:
            error.add_note(f"with {shape}")
            raise
        best.append((cost.worst, shape))
        best.sort(key=lambda entry: -entry[0])
        del best[_BEST:]
        yield shape, cost
