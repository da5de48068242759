"""What a signal is: something measured, independent of how it is drawn.

The signals themselves are in ``health``, ``traffic``, ``generation`` and ``machinery``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# Grafana's unit ids. Its own unit for seconds, ``s``, would write 100 s as 1.67 min and 0.1 s as
# 100 ms, on one axis.
SECONDS: Final = "suffix:s"
REQUESTS_PER_SECOND: Final = "reqps"
TOKENS: Final = "suffix:tok"
TOKENS_PER_SECOND: Final = "suffix:tok/s"
SHARE: Final = "percentunit"
NUMBER: Final = "none"

# Values that stand for a word: the states of a service, and where a number would mislead.
DOWN: Final = 0.0
FAILING: Final = 0.5
UP: Final = 1.0
NO_NUMBER: Final = -1.0


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
        unit: Grafana's unit id.
        when_empty: Text that a panel shows while there is no series, which isn't an error. It must
            also be true if Prometheus has no samples of that time.
        whole: Whether only whole numbers make sense, as for a number of requests.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    when_empty: str = "none counted"
    whole: bool = False
