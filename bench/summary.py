"""Medians, spread and ratios of a run. Pure functions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from bench.load import Sample

Quantity = Literal[
    "rate",
    "cpu_us",
    "generator_cpu",
    "engine_cpu",
    "first_p50_us",
    "first_p99_us",
    "delay_p50_us",
    "delay_p99_us",
]
Cell = tuple[str, str, int]  # subject, kind, connections


@dataclass(frozen=True)
class Figure:
    """The median, lowest and highest of the repetitions."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """Render for a table."""
        return f"{short(self.median)} [{short(self.low)} .. {short(self.high)}]"


def figure(values: Sequence[float]) -> Figure:
    """Return the figure of some repetitions."""
    return Figure(median(values), min(values), max(values))


def short(value: float) -> str:
    """Render a number with about three digits."""
    for size, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / (1e6 if unit == 'M' else 1e3):.3g}{unit}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"  # noqa: PLR2004  three digits


class Run:
    """The samples of a run, in the order in which they were measured."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples = tuple(samples)
        self._cells: dict[Cell, list[Sample]] = {}
        for sample in self.samples:
            key = (sample.subject, sample.kind, sample.connections)
            self._cells.setdefault(key, []).append(sample)

    def cells(self) -> list[tuple[str, int]]:
        """Return what was measured: kinds and numbers of connections."""
        return list(dict.fromkeys((kind, connections) for _, kind, connections in self._cells))

    def subjects(self) -> list[str]:
        """Return the names of the subjects."""
        return list(dict.fromkeys(subject for subject, _, _ in self._cells))

    def values(self, cell: Cell, quantity: Quantity) -> list[float]:
        """Return a quantity of every repetition; empty if it was not measured."""
        found = (getattr(sample, quantity) for sample in self._cells.get(cell, []))
        return [value for value in found if value is not None]

    def figure(self, cell: Cell, quantity: Quantity) -> Figure | None:
        """Return the figure of a quantity; None if it was not measured."""
        values = self.values(cell, quantity)
        return figure(values) if values else None

    def ratio(self, over: Cell, under: Cell, quantity: Quantity) -> Figure | None:
        """Divide within each repetition, because both sides were measured within seconds."""
        pairs = zip(self.values(over, quantity), self.values(under, quantity), strict=False)
        ratios = [a / b for a, b in pairs if b]
        return figure(ratios) if ratios else None

    def added(self, over: Cell, under: Cell, quantity: Quantity) -> Figure | None:
        """Subtract within each repetition."""
        pairs = zip(self.values(over, quantity), self.values(under, quantity), strict=False)
        differences = [a - b for a, b in pairs]
        return figure(differences) if differences else None

    def faults(self) -> dict[str, int]:
        """Return the number of refused, lost or reordered responses by subject."""
        counts = dict.fromkeys(self.subjects(), 0)
        for sample in self.samples:
            counts[sample.subject] += sample.faults
        return counts
