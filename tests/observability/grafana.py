"""What Grafana does with a panel before and after it asks Prometheus."""

from __future__ import annotations

import re
from typing import Any, Final

#: Seconds. Grafana's default for the scrape interval of a data source, which the stack uses too.
SCRAPE_INTERVAL: Final = 15

#: Width of a panel in pixels: how many points Grafana asks for where the panel sets no number.
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


def interpolate(
    panel: dict[str, Any], expr: str, *, range_seconds: int, variables: dict[str, str]
) -> str:
    """Substitute the variables of a panel's query; each variable has one value."""
    substitutes = {
        "$__rate_interval": f"{rate_interval(panel, range_seconds)}s",
        "$__range": f"{range_seconds}s",
        **{f"${name}": escaped(value) for name, value in variables.items()},
    }
    for name, value in substitutes.items():
        expr = expr.replace(name, value)
    return expr


def series_name(panel: dict[str, Any], target: dict[str, Any], labels: dict[str, str]) -> str:
    """Return what a series is called on the screen: its legend, or its column in a table."""
    for transformation in panel.get("transformations", []):
        columns = transformation["options"].get("renameByName", {})
        if name := columns.get(f"Value #{target['refId']}"):
            return str(name)
    legend: str = target["legendFormat"]
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)
