"""What Grafana does with a panel before and after it asks Prometheus."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# Seconds. Grafana's default for the scrape interval of a data source, which the stack uses too.
SCRAPE_INTERVAL: Final = 15

# Width of a panel in pixels: how many points Grafana asks for where the panel sets no number.
_PANEL_WIDTH: Final = 500


def rate_interval(panel: dict[str, Any], range_seconds: int) -> int:
    """Return the seconds that Grafana substitutes for ``$__rate_interval`` in a panel.

    Grafana also rounds the step, which changes none of the steps that occur here.
    """
    points = panel.get("maxDataPoints") or _PANEL_WIDTH
    step = max(range_seconds // points, SCRAPE_INTERVAL)
    return max(step + SCRAPE_INTERVAL, 4 * SCRAPE_INTERVAL)


def escaped(value: str) -> str:
    """Write a variable's value as Grafana does within the quotes of a regular expression."""
    return re.sub(r"[$^*{}\[\]'+?.()|\\]", lambda found: rf"\\{found[0]}", value)


def values_in(
    panel: dict[str, Any], *, range_seconds: int, variables: Mapping[str, str]
) -> dict[str, str]:
    """Return what Grafana substitutes in a panel's queries if each variable has one value."""
    return {
        "__rate_interval": f"{rate_interval(panel, range_seconds)}s",
        "__range": f"{range_seconds}s",
        **{name: escaped(value) for name, value in variables.items()},
    }


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
