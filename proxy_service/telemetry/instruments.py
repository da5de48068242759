"""Counters, gauges and histograms for a process with one thread, and their exposition.

A scrape returns what it would with prometheus-client: same names, same formats. But there is no
lock around each number, which every request would take about twenty times. And an exposition
reuses the text that the library wrote for an earlier one, and replaces only the numbers in it.
Writing all of the text again takes tens of milliseconds when there are many models, and all
streams would wait for that long. See docs/adr/0013.
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

# Formats whose texts are kept; scrapers use one or two.
_FORMATS = 4


class Instrument(ABC):
    """One child of a family: the numbers behind one set of label values."""

    __slots__ = ()

    @abstractmethod
    def values(self) -> list[float]:
        """Return the numbers in the order in which they are exposed."""


class Counter(Instrument):
    """A number that only increases."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Add ``amount``, which must not be negative."""
        self.value += amount

    def values(self) -> list[float]:
        """Return the number."""
        return [self.value]


class Gauge(Instrument):
    """A number that can increase and decrease."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self) -> None:
        """Add one."""
        self.value += 1

    def dec(self) -> None:
        """Subtract one."""
        self.value -= 1

    def set(self, value: float) -> None:
        """Set the number."""
        self.value = value

    def values(self) -> list[float]:
        """Return the number."""
        return [self.value]


class Histogram(Instrument):
    """Counts of observations by size; ``bounds`` are the upper bounds in order, without +Inf."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count ``value`` in the first bucket whose upper bound isn't below it."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def values(self) -> list[float]:
        """Return the cumulative buckets, then count and sum."""
        buckets = list(accumulate(self._counts))
        return [*buckets, buckets[-1], self._sum]


_Child = TypeVar("_Child", bound=Instrument)


class Family(Generic[_Child]):
    """All instruments with one name, by their label values."""

    def __init__(
        self, labels: tuple[str, ...], make: Callable[[], _Child], write: Callable[..., Metric]
    ) -> None:
        self._labels = labels
        self._make = make
        self._write = write
        self.children: dict[tuple[str, ...], _Child] = {}

    def labels(self, *values: str) -> _Child:
        """Return the child for these label values; create it on first use."""
        if len(values) != len(self._labels):
            raise ValueError(f"expected values of {self._labels}, got {values}")
        if values not in self.children:
            self.children[values] = self._make()
        return self.children[values]

    def to_metric(self) -> Metric:
        """Return all children as the library's object, from which it writes text."""
        return self._write(self._labels, self.children)


class Instruments(Collector):
    """All families, and their exposition; a collector for the library."""

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
        edges = [*map(_format, bounds), "+Inf"]

        def write(labels: tuple[str, ...], children: dict[tuple[str, ...], Histogram]) -> Metric:
            metric = HistogramMetricFamily(name, text, labels=labels)
            for values, child in children.items():
                *buckets, _, total = child.values()
                metric.add_metric(values, list(zip(edges, buckets, strict=True)), total)
            return metric

        return self._add(Family(labels, lambda: Histogram(bounds), write))

    def collect(self) -> Iterator[Metric]:
        """Return all families as the library's objects."""
        return (family.to_metric() for family in self._families)

    def expose(self, accept: str) -> bytes:
        """Return all families in the format that the ``Accept`` header asks for."""
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
            _format(value)
            for family in self._families
            for child in family.children.values()
            for value in child.values()
        ]
        return "".join(parts).encode()

    def _add(self, family: Family[_Child]) -> Family[_Child]:
        self._families.append(family)  # type: ignore[arg-type]  # children are only read
        return family


def _format(value: float) -> str:
    if not value:
        return "0.0"  # most numbers
    return str(floatToGoString(value))  # type: ignore[no-untyped-call]  # the library's


def _around_numbers(text: str) -> list[str]:
    """Split an exposition at its numbers: every second element is empty, instead of a number."""
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
