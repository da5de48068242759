"""What Grafana does with a panel before and after it asks Prometheus."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.observability.live import RunningPrometheus

# Seconds. Grafana's default for the scrape interval of a data source, which the stack uses too.
SCRAPE_INTERVAL: Final = 15

# Width of a panel in pixels: how many points Grafana asks for where the panel sets no number.
_PANEL_WIDTH: Final = 500


def step(panel: dict[str, Any], range_seconds: int, scrape_interval: int = SCRAPE_INTERVAL) -> int:
    """Return the seconds between two points that Grafana asks for in a panel.

    Grafana also rounds the step, which changes none of the steps that occur here.
    """
    points = panel.get("maxDataPoints") or _PANEL_WIDTH
    return int(max(range_seconds // points, scrape_interval))


def rate_interval(
    panel: dict[str, Any], range_seconds: int, scrape_interval: int = SCRAPE_INTERVAL
) -> int:
    """Return the seconds that Grafana substitutes for ``$__rate_interval`` in a panel."""
    between = step(panel, range_seconds, scrape_interval)
    return max(between + scrape_interval, 4 * scrape_interval)


def escaped(value: str) -> str:
    """Write a variable's value as Grafana does within the quotes of a regular expression."""
    return re.sub(r"[$^*{}\[\]'+?.()|\\]", lambda found: rf"\\{found[0]}", value)


@dataclass(frozen=True, kw_only=True)
class Screen:
    """A dashboard as someone looks at it.

    Attributes:
        prometheus: Answers the queries.
        now: End of the time shown, in seconds since 1970.
        range_seconds: Length of the time shown.
        variables: The one value that is chosen for each variable.
        scrape_interval: What the data source says about Prometheus, in seconds.
    """

    prometheus: RunningPrometheus
    now: int
    range_seconds: int
    variables: Mapping[str, str]
    scrape_interval: int = SCRAPE_INTERVAL

    def shown(self, panel: dict[str, Any]) -> dict[str, float]:
        """Return what a panel shows now, by the names of its series: of a graph, its end."""
        last = self.now - self.now % self._step(panel)
        return {name: at[last] for name, at in self.graph(panel).items() if last in at}

    def graph(self, panel: dict[str, Any]) -> dict[str, dict[int, float]]:
        """Return each series' values by time, as Grafana asks for them: one point or a graph."""
        found: dict[str, dict[int, float]] = {}
        for target in panel["targets"]:
            for series in self._series(panel, target):
                name = series_name(panel, target, series["metric"])
                assert name, f"a series without a name: {series}"
                assert name not in found, f"two series have the name {name}"
                values = series.get("values") or [series["value"]]
                found[name] = {int(at): float(value) for at, value in values}
        return found

    def _step(self, panel: dict[str, Any]) -> int:
        if any(target.get("instant") for target in panel["targets"]):
            return 1
        return step(panel, self.range_seconds, self.scrape_interval)

    def _series(self, panel: dict[str, Any], target: dict[str, Any]) -> list[dict[str, Any]]:
        values = {
            "__rate_interval": (
                f"{rate_interval(panel, self.range_seconds, self.scrape_interval)}s"
            ),
            "__range": f"{self.range_seconds}s",
            **{name: escaped(value) for name, value in self.variables.items()},
        }
        expr = interpolate(target["expr"], values)
        between = self._step(panel)
        if between == 1:
            return self.prometheus.query(expr, at=self.now)
        end = self.now - self.now % between
        start = self.now - self.range_seconds
        start -= start % between
        return self.prometheus.query_range(expr, start=start, end=end, step=between)


def interpolate(expr: str, values: Mapping[str, str]) -> str:
    """Substitute the variables of a query, which are named without ``$`` in ``values``."""
    for name, value in values.items():
        expr = expr.replace(f"${name}", value)
    return expr


def series_name(panel: dict[str, Any], target: dict[str, Any], labels: dict[str, str]) -> str:
    """Return what a series is called on the screen: its legend, or its column in a table."""
    for transformation in panel.get("transformations", []):
        columns = transformation["options"].get("renameByName", {})
        if name := columns.get(f"Value #{target['refId']}"):
            return str(name)
    legend: str = target["legendFormat"]
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)
