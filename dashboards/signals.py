"""The shape of a signal: what is measured, independent of how it is drawn.

The catalogues of signals are ``traffic``, ``generation`` and ``machinery``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Query:
    """One PromQL query and how its series are named (Grafana's legend format)."""

    expr: str
    legend: str


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Something worth looking at, told once and drawn in any shape.

    Attributes:
        title: Unique on the dashboard.
        description: What a person should read from it.
        unit: Grafana's unit id, for instance ``s`` or ``reqps``.
        when_empty: What a panel says where there is no series, which is no fault.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    when_empty: str = "no traffic"
