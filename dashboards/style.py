"""The dashboard's look: colours, limits drawn as lines, and what all graphs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.models import common, dashboard

if TYPE_CHECKING:
    from collections.abc import Iterable

GREEN: Final = "green"
YELLOW: Final = "yellow"
ORANGE: Final = "orange"
RED: Final = "red"
BLUE: Final = "blue"
PURPLE: Final = "purple"
GREY: Final = "#8e8e8e"

# The data source that is chosen at the top of the dashboard.
DATASOURCE: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

# The colours of the values of a label, the same in all panels and different within a label.
_COLOURS: Final = {
    "status": {"success": GREEN, "client_error": YELLOW, "error": RED, "cancelled": GREY},
    "outcome": {
        "completed": GREEN,
        "client_error": YELLOW,
        "upstream_error": RED,
        "client_disconnected": GREY,
        "timeout": ORANGE,
    },
    "finish_reason": {
        "stop": GREEN,
        "length": YELLOW,
        "tool_calls": BLUE,
        "load": PURPLE,
        "unload": "light-purple",
        "error": RED,
        "cancelled": GREY,
        "other": "light-blue",
    },
    # The engine's own names.
    "reason": {
        "stop": GREEN,
        "length": YELLOW,
        "tool_calls": BLUE,
        "generated_image": PURPLE,
        "generated_speech": "light-purple",
        "canceled": GREY,
        "error": RED,
    },
    # Yellow to brown: the client's fault. Red: the engine's. Purple: the proxy's. Blue: nobody's.
    "error_type": {
        "invalid_request": YELLOW,
        "unauthorized": "#8f6b00",
        "model_not_found": "#c9a227",
        "not_supported": "#a8a032",
        "overloaded": BLUE,
        "shutting_down": "light-blue",
        "upstream_connect": "dark-red",
        "upstream_timeout": ORANGE,
        "upstream_status": RED,
        "upstream_protocol": "light-red",
        "stream_interrupted": "light-orange",
        "internal": PURPLE,
    },
    # Neither green nor red, since no endpoint is good or bad. To be seen on white and on black.
    "endpoint": {
        "chat": "#3274d9",
        "generate": "#56b4e9",
        "v1_chat_completions": "#a352cc",
        "v1_completions": "#c07ddb",
        "v1_responses": "#8f3bb8",
        "v1_messages": "#d683ce",
        "embed": "#00a3a3",
        "embeddings": "#4fc4c4",
        "v1_embeddings": "#007a7a",
        "tags": "#b7791f",
        "v1_models": "#cf9f55",
        "ps": "#c15c17",
        "show": "#9c6b4f",
        "version": "#705da0",
        "pull": "#6c7bd1",
        "push": "#8591dd",
        "create": "#447ebc",
        "copy": "#64a0c8",
        "delete": "#4f6d8f",
        "blobs": "#7d8ba1",
        "unmatched": "#6e6e6e",
    },
}
# The colours of a panel's series that differ only in their names.
_NAMED: Final = {
    "errors": RED,
    "p50": "#00a3a3",
    "p95": "#3274d9",
    "p99": "#a352cc",
    "mean": GREY,
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


def colours_of(legend: str) -> dict[str, str]:
    """Return the colours of the series with a legend, by their names; others get Grafana's."""
    label = legend.removeprefix("{{").removesuffix("}}")
    return _COLOURS.get(label) or {name: _NAMED[name] for name in (legend,) if name in _NAMED}


def coloured(panel: timeseries.Panel, legends: Iterable[str]) -> timeseries.Panel:
    """Give the series with these legends their colours."""
    for legend in legends:
        for name, colour in colours_of(legend).items():
            panel.override_by_name(
                name,
                [
                    dashboard.DynamicConfigValue(
                        id_val="color", value={"mode": "fixed", "fixedColor": colour}
                    )
                ],
            )
    return panel
