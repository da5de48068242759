"""The dashboard as Grafana loads it: identity, grid, panels, variables and links."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import pytest

from dashboards.layout import Line
from dashboards.overview import render
from dashboards.style import GREEN, ORANGE, RED, YELLOW, colours_of
from monitoring.names import DATASOURCE_UID, DRILL_NAME
from monitoring.thresholds import Thresholds
from proxy_service.errors import ERROR_TYPES
from proxy_service.telemetry import metrics
from tests.observability.queries import ROOT, dashboard, panels

if TYPE_CHECKING:
    from collections.abc import Iterator

BOARD = dashboard()
PANELS = panels(BOARD)
SPECIFIED_ROWS = [
    "Status and health",
    "Request rate and latency",
    "Generation",
    "Errors and active requests",
    "Streaming",
]

every_panel = pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])


def cells(panel: dict[str, Any]) -> Iterator[tuple[int, int]]:
    grid = panel["gridPos"]
    return itertools.product(
        range(grid["x"], grid["x"] + grid["w"]), range(grid["y"], grid["y"] + grid["h"])
    )


def test_identity() -> None:
    assert BOARD["title"] == "Mistral.rs Metrics"
    assert BOARD["uid"] == "mistral-metrics"
    assert BOARD["schemaVersion"] == 42
    assert not {"id", "version"} & BOARD.keys(), "Grafana sets these"


def test_the_specified_sections_come_first_and_open() -> None:
    rows = [panel for panel in BOARD["panels"] if panel["type"] == "row"]
    assert [row["title"] for row in rows][:5] == SPECIFIED_ROWS
    assert [row["collapsed"] for row in rows] == [False] * 5 + [True] * (len(rows) - 5)


def test_ids_and_titles_are_unique() -> None:
    rows = [panel for panel in BOARD["panels"] if panel["type"] == "row"]
    ids = [panel["id"] for panel in [*PANELS, *rows]]
    titles = [panel["title"] for panel in PANELS]
    assert all(isinstance(panel_id, int) and panel_id > 0 for panel_id in ids)
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)


def test_open_panels_fill_the_grid_without_overlap() -> None:
    taken = [cell for panel in BOARD["panels"] for cell in cells(panel)]
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) == 23
    assert len(taken) == 24 * (1 + max(y for _, y in taken)), "no holes"


def test_a_line_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match="0 columns wide"):
        Line(8, ())


@every_panel
def test_every_panel_has_a_description_a_unit_and_a_data_source(panel: dict[str, Any]) -> None:
    assert len(panel["description"]) > 30
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["fieldConfig"]["defaults"]["noValue"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["targets"]


@every_panel
def test_queries_of_a_panel_have_their_own_ids_and_the_chosen_data_source(
    panel: dict[str, Any],
) -> None:
    ids = [target["refId"] for target in panel["targets"]]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


@every_panel
def test_graphs_follow_the_zoom(panel: dict[str, Any]) -> None:
    """A tile may have the window of an alert instead."""
    for target in panel["targets"]:
        ranges = set(re.findall(r"\[([^]]+)\]", target["expr"]))
        if target.get("instant"):
            assert ranges <= {"$__range", "300s"}
        else:
            assert ranges <= {"$__range", "$__rate_interval"}


@every_panel
def test_graphs_compute_the_growth_in_the_time_shown_once(panel: dict[str, Any]) -> None:
    """Not for each of their points, with the range before that point."""
    for target in panel["targets"]:
        if not target.get("instant"):
            expr = target["expr"]
            assert expr.count("[$__range]") == expr.count("[$__range] @ end()")


@every_panel
def test_a_query_is_filtered_by_endpoint_or_by_model_but_not_by_both(panel: dict[str, Any]) -> None:
    """No metric has both labels: one number would be of the endpoint, the other of the model."""
    for target in panel["targets"]:
        assert not {"$endpoint", "$model"} <= set(re.findall(r"\$\w+", target["expr"]))


@every_panel
def test_an_axis_has_one_unit_that_says_what_it_counts(panel: dict[str, Any]) -> None:
    """Grafana writes ``s`` as ms, s and min, ``short`` without a unit but with K and Mil."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    assert unit not in ("s", "short", "ops", "cps")
    if panel["type"] == "timeseries" and unit == "none":
        assert panel["fieldConfig"]["defaults"]["decimals"] == 0, "a number of what?"


@pytest.mark.parametrize(
    "title", ["Requests", "Since the start", "Firing alerts", "Active now", "Active requests"]
)
def test_numbers_of_things_are_whole(title: str) -> None:
    (panel,) = (panel for panel in PANELS if panel["title"] == title)
    assert panel["fieldConfig"]["defaults"]["decimals"] == 0


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("status", metrics.STATUSES),
        ("outcome", metrics.OUTCOMES),
        ("finish_reason", metrics.FINISH_REASONS),
        ("error_type", ERROR_TYPES),
        ("endpoint", metrics.ENDPOINTS),
    ],
)
def test_every_value_of_a_label_has_a_colour_of_its_own(label: str, names: tuple[str, ...]) -> None:
    colours = colours_of(f"{{{{{label}}}}}")
    assert set(colours) == set(names)
    assert len(set(colours.values())) == len(names)


def test_only_success_is_green_and_only_what_fails_is_red() -> None:
    """Also among the endpoints, which are neither."""
    labels = ("status", "outcome", "finish_reason", "error_type", "endpoint")
    good = {
        name for label in labels for name, c in colours_of(f"{{{{{label}}}}}").items() if c == GREEN
    }
    bad = {
        name for label in labels for name, c in colours_of(f"{{{{{label}}}}}").items() if c == RED
    }
    assert good == {"success", "completed", "stop"}
    assert bad == {"error", "upstream_error", "upstream_status"}


def test_firing_alerts_are_one_region_in_a_colour_of_its_own() -> None:
    (annotation,) = (one for one in BOARD["annotations"]["list"] if one["name"] == "Firing alerts")
    assert annotation["expr"].startswith("max(")
    assert annotation["iconColor"] not in (RED, GREEN, YELLOW, ORANGE)


def test_the_texts_of_errors_are_named() -> None:
    (note,) = (panel for panel in BOARD["panels"] if panel["type"] == "text")
    assert "make logs SERVICE=engine" in note["options"]["content"]


@every_panel
def test_quantiles_and_ratios_have_no_series_rather_than_nan(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        expr = target["expr"]
        assert all(" >= 0" in rest for rest in expr.split("histogram_quantile")[1:])
        if " / " in expr:
            assert " > 0)" in expr.split(" / ", 1)[1]


def test_variables() -> None:
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert list(variables) == ["datasource", "job", "instance", "endpoint", "model"]
    assert variables["datasource"]["current"]["value"] == DATASOURCE_UID
    hidden = variables["datasource"]["regex"].strip("/")
    assert [name for name in ("Prometheus", DRILL_NAME, "a") if re.search(hidden, name)] == [
        "Prometheus",
        "a",
    ]
    assert not variables["job"].get("includeAll"), "process_* and up exist in other jobs too"
    for name in ("instance", "endpoint", "model"):
        assert variables[name]["allValue"] == ".+"
        assert variables[name]["multi"]


def test_alert_limits_are_drawn_as_lines() -> None:
    drawn = {
        panel["title"]: [
            step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]
        for panel in PANELS
        if panel["fieldConfig"]["defaults"].get("custom", {}).get("thresholdsStyle")
    }
    assert drawn["Latency percentiles"] == [None, 5, 10]
    assert drawn["p95 generation time by model"] == [None, 30]
    assert drawn["Error rate"] == [None, 0.05]
    assert drawn["p95 latency by endpoint"] == [None, 5, 10]
    assert drawn["Active requests"] == [None, 50]
    assert "Duration percentiles" not in drawn, "no alert compares it"
    assert drawn["Time to first token"] == [None, 5]


def test_every_panel_that_a_document_names_exists() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    named = set(re.findall(r"panel \*([^*]+)\*", text))
    assert named
    assert named <= {panel["title"] for panel in PANELS}


def test_there_are_links_only_to_addresses_that_are_set() -> None:
    assert BOARD["links"] == []
    text = render(Thresholds(), prometheus_url="http://prometheus.test:9090")
    assert '"url": "http://prometheus.test:9090"' in text
