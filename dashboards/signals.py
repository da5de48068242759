"""What a signal is: something measured, independent of how it is drawn.

The signals themselves are in ``traffic``, ``generation`` and ``machinery``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """One PromQL query and the name of its series, in Grafana's legend format."""

    expr: str
    legend: str


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A measured value that any kind of panel can show.

    Attributes:
        title: Unique on the dashboard.
        description: What it means to a person who reads it.
        unit: Grafana's unit id, for instance ``s`` or ``reqps``.
        when_empty: Text that a panel shows while there is no series, which isn't an error.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    when_empty: str = "no traffic"
