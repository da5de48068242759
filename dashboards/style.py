"""The dashboard's look: colours, limits drawn as lines, and what all graphs share."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import common, dashboard

GREEN: Final = "green"
YELLOW: Final = "yellow"
ORANGE: Final = "orange"
RED: Final = "red"
BLUE: Final = "blue"
GREY: Final = "#8e8e8e"

# The data source that is chosen at the top of the dashboard.
DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

# The colour of each outcome, the same in all panels.
OUTCOME_COLOURS: Final = {
    "success": GREEN,
    "completed": GREEN,
    "client_error": YELLOW,
    "cancelled": GREY,
    "client_disconnected": GREY,
    "error": RED,
    "upstream_error": RED,
    "errors": RED,
    "timeout": ORANGE,
    "stop": GREEN,
    "length": YELLOW,
    "tool_calls": BLUE,
}

_LINE_WIDTH: Final = 2
_FILL_PERCENT: Final = 8
_STACK_FILL_PERCENT: Final = 70


def steps(base: str, *limits: tuple[float, str]) -> dashboard_builders.ThresholdsConfig:
    """Return the colours of a value: ``base``, and another one from each limit on."""
    first = dashboard.Threshold(value=None, color=base)
    rest = [dashboard.Threshold(value=value, color=colour) for value, colour in limits]
    return (
        dashboard_builders.ThresholdsConfig()
        .mode(dashboard.ThresholdsMode.ABSOLUTE)
        .steps([first, *rest])
    )


def graph() -> timeseries.Panel:
    """Return a graph with the settings that all graphs share."""
    return (
        timeseries.Panel()
        .datasource(DATASOURCE)
        .min(0)
        .line_width(_LINE_WIDTH)
        .fill_opacity(_FILL_PERCENT)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)  # noqa: FBT003 - the SDK takes it by position
        )
        .tooltip(
            common_builders.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .thresholds(steps(GREEN))
    )


def stacked(panel: timeseries.Panel) -> timeseries.Panel:
    """Stack the series, for parts of a whole; without lines, which would colour empty parts."""
    return (
        panel.fill_opacity(_STACK_FILL_PERCENT)
        .line_width(0)
        .stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    )


def with_limits(panel: timeseries.Panel, *limits: tuple[float, str]) -> timeseries.Panel:
    """Draw the limits of alerts as dashed lines."""
    return panel.thresholds(steps("transparent", *limits)).thresholds_style(
        common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
    )


def with_outcome_colours(panel: timeseries.Panel) -> timeseries.Panel:
    """Give series that are named after an outcome its colour."""
    for name, colour in OUTCOME_COLOURS.items():
        panel.override_by_name(
            name,
            [
                dashboard.DynamicConfigValue(
                    id_val="color", value={"mode": "fixed", "fixedColor": colour}
                )
            ],
        )
    return panel
