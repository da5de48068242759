"""What is measured: job names, the data source and the shape of a signal.

Owns the names that the scrape configuration, the rules and the dashboard share. Knows neither
panels nor alerts. The catalogues are ``traffic``, ``generation`` and ``machinery``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Scrape job of the proxy (the name is fixed by the project's specification).
JOB: Final = "mistral"

#: Scrape job of the engine's own metrics.
ENGINE_JOB: Final = "mistralrs"

#: Constant uid of Grafana's Prometheus data source, so that links and rules stay valid.
DATASOURCE_UID: Final = "mistral-prometheus"


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
