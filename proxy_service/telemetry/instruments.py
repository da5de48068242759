"""Counters, gauges and histograms of a process with one thread, and their exposition.

They are what prometheus-client's are to whoever scrapes, by the same names and in the same
formats, but without a lock around each number, which every request would take some twenty times;
and an exposition replaces the numbers in the text of an earlier one. The library writes that
text. Writing all of it anew takes tens of milliseconds when there are many models, in which no
stream would move.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

# Formats whose text is kept; scrapers ask for one or two.
_FORMATS = 4


class Instrument(ABC):
    """One child of a family: the numbers behind one set of label values."""

    __slots__ = ()

    @abstractmethod
    def values(self) -> list[float]:
        """Give the numbers in the order in which they are exposed."""


class Counter(Instrument):
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Add ``amount``, which is not negative."""
        self.value += amount

    def values(self) -> list[float]:
        """Give the number."""
        return [self.value]


class Gauge(Instrument):
    """A number that goes up and down."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self) -> None:
        """Add one."""
        self.value += 1

    def dec(self) -> None:
        """Take one away."""
        self.value -= 1

    def set(self, value: float) -> None:
        """Replace the number."""
        self.value = value

    def values(self) -> list[float]:
        """Give the number."""
        return [self.value]


class Histogram(Instrument):
    """Counts of observations by size; ``bounds`` are the upper edges in order, but infinity."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count ``value`` in the bucket whose edge is the next one at or above it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def values(self) -> list[float]:
        """Give the buckets, each with all below it, then count and sum."""
        buckets = list(accumulate(self._counts))
        return [*buckets, buckets[-1], self._sum]


_Child = TypeVar("_Child", bound=Instrument)


class Family(Generic[_Child]):
    """All instruments of one name, by their label values."""

    def __init__(
        self, labels: tuple[str, ...], make: Callable[[], _Child], write: Callable[..., Metric]
    ) -> None:
        self._labels = labels
        self._make = make
        self._write = write
        self.children: dict[tuple[str, ...], _Child] = {}

    def labels(self, *values: str) -> _Child:
        """Give the child of these label values, making it when it is the first time."""
        if len(values) != len(self._labels):
            raise ValueError(f"expected values of {self._labels}, got {values}")
        if values not in self.children:
            self.children[values] = self._make()
        return self.children[values]

    def to_metric(self) -> Metric:
        """Give all children as the library's object, out of which it writes text."""
        return self._write(self._labels, self.children)


class Instruments(Collector):
    """A catalogue of families, and the way to expose it; a collector for the library."""

    def __init__(self) -> None:
        self._families: list[Family[Instrument]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._texts: dict[str, tuple[int, list[str]]] = {}

    def counter(self, name: str, text: str, *labels: str) -> Family[Counter]:
        """Add a family of counters; ``name`` ends in ``_total``."""

        def write(labels: tuple[str, ...], children: dict[tuple[str, ...], Counter]) -> Metric:
            metric = CounterMetricFamily(name, text, labels=labels)
            for values, child in children.items():
                metric.add_metric(values, child.value)
            return metric

        return self._add(Family(labels, Counter, write))

    def gauge(self, name: str, text: str, *labels: str) -> Family[Gauge]:
        """Add a family of gauges."""

        def write(labels: tuple[str, ...], children: dict[tuple[str, ...], Gauge]) -> Metric:
            metric = GaugeMetricFamily(name, text, labels=labels)
            for values, child in children.items():
                metric.add_metric(values, child.value)
            return metric

        return self._add(Family(labels, Gauge, write))

    def histogram(
        self, name: str, text: str, bounds: tuple[float, ...], *labels: str
    ) -> Family[Histogram]:
        """Add a family of histograms."""
        edges = [*map(_written, bounds), "+Inf"]

        def write(labels: tuple[str, ...], children: dict[tuple[str, ...], Histogram]) -> Metric:
            metric = HistogramMetricFamily(name, text, labels=labels)
            for values, child in children.items():
                *buckets, _, total = child.values()
                metric.add_metric(values, list(zip(edges, buckets, strict=True)), total)
            return metric

        return self._add(Family(labels, lambda: Histogram(bounds), write))

    def collect(self) -> Iterator[Metric]:
        """Give everything as the library's objects."""
        return (family.to_metric() for family in self._families)

    def expose(self, accept: str) -> bytes:
        """Write everything in the format that ``accept`` asks for."""
        encode, content_type = choose_encoder(accept)
        children = sum(len(family.children) for family in self._families)
        known, between = self._texts.get(content_type, (0, []))
        if known != children:
            between = _around_numbers(encode(self._registry).decode())
            if len(self._texts) >= _FORMATS:
                self._texts.clear()
            self._texts[content_type] = children, between
        parts = between.copy()
        parts[1::2] = [
            _written(value)
            for family in self._families
            for child in family.children.values()
            for value in child.values()
        ]
        return "".join(parts).encode()

    def _add(self, family: Family[_Child]) -> Family[_Child]:
        self._families.append(family)  # type: ignore[arg-type]  # they are only read
        return family


def _written(value: float) -> str:
    if not value:
        return "0.0"  # most of them
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # the library's


def _around_numbers(text: str) -> list[str]:
    """Take the numbers out of an exposition: every second element is the place of one."""
    parts: list[str] = []
    before = ""
    for line in text.split("\n"):
        series, space, _ = line.rpartition(" ")
        if line.startswith("#") or not space:
            before += f"{line}\n"
        else:
            parts += [f"{before}{series} ", ""]
            before = "\n"
    return [*parts, before.removesuffix("\n")]
