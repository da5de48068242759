"""The panels that can show a signal: tile, graph, stack, heatmap, table, timeline; and a note.

``layout`` adds ids and grid positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import heatmap as heatmap_builders
from grafana_foundation_sdk.builders import prometheus, stat, statetimeline, table, text
from grafana_foundation_sdk.models import common, dashboard, heatmap
from grafana_foundation_sdk.models import text as text_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards import style
from dashboards.signals import DOWN, FAILING, NO_NUMBER, SECONDS, SHARE, UP

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.timeseries import Panel as Graph

    from dashboards.signals import Query, Signal

# Below every value, so that only a missing value is grey.
_LOWEST = -1e9

# Number of columns of a heatmap; more would be too narrow to see.
_HEATMAP_COLUMNS = 60

# Pixels; the same size for all, where Grafana would fit each number to its own space.
_COUNT_SIZE = 24
_NAME_SIZE = 14

# Pixels; with Grafana's own minimum a narrow table would hide its last columns.
_COLUMN_WIDTH = 60

# The axis of a share reaches at least this far; without it, Grafana draws up to 10000 % for a 0.
_SHARE_AXIS = 0.1


class PanelBuilder(Protocol):
    """What all panel builders of the SDK have in common."""

    def build(self) -> dashboard.Panel:
        """Return the finished panel."""
        ...


def state_tile(signal: Signal) -> PanelBuilder:
    """Show the state of a service as a word."""
    states = (
        (DOWN, "DOWN", style.RED),
        (FAILING, "FAILING", style.ORANGE),
        (UP, "UP", style.GREEN),
    )
    return (
        _tile(signal)
        .mappings([_words(*states)])
        .thresholds(style.steps(style.GREY))
        .color_mode(common.BigValueColorMode.BACKGROUND)
    )


def tile(
    signal: Signal,
    *limits: tuple[float, str],
    base: str = style.GREEN,
    decimals: int | None = None,
    no_number: str = "",
) -> PanelBuilder:
    """Show the current value, in the colour of the highest limit that it reaches.

    ``no_number`` is the text for `NO_NUMBER`, in red.
    """
    panel = _tile(signal).thresholds(style.steps(style.GREY, (_LOWEST, base), *limits))
    if no_number:
        panel = panel.mappings([_words((NO_NUMBER, no_number, style.RED))])
    return panel if decimals is None else panel.decimals(decimals)


def counts(signal: Signal) -> PanelBuilder:
    """Show several current values, one below the other."""
    return (
        _tile(signal)
        .thresholds(style.steps(style.GREY, (_LOWEST, style.BLUE)))
        .orientation(common.VizOrientation.HORIZONTAL)
        .text(
            common_builders.VizTextDisplayOptions().title_size(_NAME_SIZE).value_size(_COUNT_SIZE)
        )
    )


def graph(signal: Signal, *limits: tuple[float, str]) -> PanelBuilder:
    """Show lines over time, alert limits as dashed lines."""
    panel = _graph(signal)
    if signal.unit == SHARE:
        panel = panel.axis_soft_max(_SHARE_AXIS)
    return style.with_limits(panel, *limits) if limits else panel


def stack(signal: Signal) -> PanelBuilder:
    """Show parts of a whole over time."""
    return style.stacked(_graph(signal))


def spread(signal: Signal) -> PanelBuilder:
    """Show a histogram over time as a heatmap."""
    panel = (
        heatmap_builders.Panel()
        .title(signal.title)
        .description(signal.description)
        .datasource(style.DATASOURCE)
        .unit(signal.unit)
        .no_value(signal.when_empty)
        .max_data_points(_HEATMAP_COLUMNS)
        .calculate(calculate=False)
        .y_axis(heatmap_builders.YAxisConfig().unit(signal.unit))
        .color(
            heatmap_builders.HeatmapColorOptions()
            .mode(heatmap.HeatmapColorMode.SCHEME)
            .scheme("Blues")
            .steps(64)
        )
        .filter_values(heatmap_builders.FilterValueRange().le(1e-9))
        .hide_legend()
    )
    for position, query in enumerate(signal.queries):
        panel.with_target(_target(query, position).format(PromQueryFormat.HEATMAP))
    return panel


def note(title: str, markdown: str) -> PanelBuilder:
    """Show a text."""
    return text.Panel().title(title).mode(text_models.TextMode.MARKDOWN).content(markdown)


def alert_timeline(signal: Signal) -> PanelBuilder:
    """Show when each alert was pending (1) or firing (2)."""
    panel = (
        statetimeline.Panel()
        .title(signal.title)
        .description(signal.description)
        .datasource(style.DATASOURCE)
        .unit(signal.unit)
        .no_value(signal.when_empty)
        .mappings(
            [
                _words(
                    (1, "pending", style.YELLOW),
                    (2, "firing", style.RED),
                    (0, "quiet", style.GREEN),
                )
            ]
        )
        .show_value(common.VisibilityMode.NEVER)
        .thresholds(style.steps(style.GREY))
    )
    for position, query in enumerate(signal.queries):
        panel.with_target(_target(query, position))
    return panel


def model_table(signal: Signal) -> PanelBuilder:
    """Show one row per model and one column per query of the signal."""
    panel = (
        table.Panel()
        .title(signal.title)
        .description(signal.description)
        .datasource(style.DATASOURCE)
        .unit(signal.unit)
        .no_value(signal.when_empty)
        .min_width(_COLUMN_WIDTH)
        .with_transformation(dashboard.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            dashboard.DataTransformerConfig(id_val="organize", options=_columns(signal))
        )
        .override_by_name("loaded", _override("mappings", _yes_or_no()))
        .override_by_name("on demand", _override("decimals", 0))
        .override_by_name("load time", _override("unit", SECONDS))
    )
    for position, query in enumerate(signal.queries):
        panel.with_target(
            _target(query, position).instant().format(PromQueryFormat.TABLE).legend_format("")
        )
    return panel


def _columns(signal: Signal) -> dict[str, Any]:
    """Name each query's column of values after its legend."""
    names = {f"Value #{_ref_id(i)}": query.legend for i, query in enumerate(signal.queries)}
    return {"excludeByName": {"Time": True}, "renameByName": names}


def _yes_or_no() -> list[dict[str, Any]]:
    return [{"type": "value", "options": {"0": {"text": "no"}, "1": {"text": "yes"}}}]


def _override(property_id: str, value: Any) -> list[dashboard.DynamicConfigValue]:  # noqa: ANN401
    return [dashboard.DynamicConfigValue(id_val=property_id, value=value)]


def _tile(signal: Signal) -> stat.Panel:
    panel = (
        stat.Panel()
        .title(signal.title)
        .description(signal.description)
        .datasource(style.DATASOURCE)
        .unit(signal.unit)
        .no_value(signal.when_empty)
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
    )
    if signal.whole:
        panel = panel.decimals(0)
    for position, query in enumerate(signal.queries):
        panel.with_target(_target(query, position).instant())
    return panel


def _graph(signal: Signal) -> Graph:
    panel = (
        style.graph()
        .title(signal.title)
        .description(signal.description)
        .unit(signal.unit)
        .no_value(signal.when_empty)
    )
    if signal.whole:
        panel = panel.decimals(0)
    for position, query in enumerate(signal.queries):
        panel.with_target(_target(query, position))
    return style.coloured(panel, (query.legend for query in signal.queries))


def _words(*values: tuple[float, str, str]) -> dashboard.ValueMap:
    """Return the mapping of values to a text and its colour."""
    return dashboard.ValueMap(
        options={
            f"{value:g}": dashboard.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, text, colour) in enumerate(values)
        }
    )


def _target(query: Query, position: int) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .ref_id(_ref_id(position))
        .datasource(style.DATASOURCE)
        .expr(query.expr)
        .legend_format(query.legend)
        .range()
    )


def _ref_id(position: int) -> str:
    return chr(ord("A") + position)
