"""Finds every PromQL query of the project, and the metrics and labels in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from alerts.grafana import rule_groups
from alerts.recordings import recordings
from alerts.rules import alerts
from dashboards.overview import render
from monitoring.thresholds import Thresholds
from tests.observability.grafana import interpolate

ROOT = Path(__file__).parents[2]

_SELECTOR = re.compile(r"\b([a-z][a-z0-9_]*_[a-z0-9_]+|up)\{([^}]*)\}")
_BARE = re.compile(r"\b(mistral_\w+|process_\w+|scrape_\w+)\b(?![{(])")
_RECORDED = re.compile(r"\b(?:job|instance):[a-z0-9_]+:\w+(?:\{[^}]*\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|on) \(([^)]*)\)")


# Grafana's variables: rates over five minutes, a range of one hour, everything selected.
_EVERYTHING = {
    "__rate_interval": "5m",
    "__range": "1h",
    "job": "mistral",
    "instance": ".+",
    "endpoint": ".+",
    "model": ".+",
}


class Query(NamedTuple):
    """A query, and the panel, alert or runbook that contains it."""

    where: str
    expr: str


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads(render(Thresholds()))
    return board


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels, also those inside collapsed rows, without the rows themselves."""
    flat = [inner for panel in board["panels"] for inner in [panel, *panel.get("panels", [])]]
    return [panel for panel in flat if panel["type"] != "row"]


def of_dashboard() -> list[Query]:
    board = dashboard()
    found = [
        Query(f"{panel['title']} {target['refId']}", interpolate(target["expr"], _EVERYTHING))
        for panel in panels(board)
        for target in panel["targets"]
    ]
    found += [
        Query(f"annotation {annotation['name']}", interpolate(annotation["expr"], _EVERYTHING))
        for annotation in board["annotations"]["list"]
        if "expr" in annotation
    ]
    return found


def of_alerts() -> list[Query]:
    t = Thresholds()
    found = [Query(alert.name, alert.expr) for alert in alerts(t)]
    found += [Query(recording.name, recording.expr) for recording in recordings(t)]
    found += [
        Query(f"{rule.title} in Grafana", rule.queries[0].model["expr"])
        for group in rule_groups(t, "prometheus")
        for rule in group.rules
    ]
    return found


def of_runbooks() -> list[Query]:
    return [
        Query(page.stem, line)
        for page in sorted((ROOT / "docs" / "runbooks").glob("*.md"))
        for block in re.findall(r"```promql\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
        if line.strip()
    ]


def everything() -> list[Query]:
    return of_dashboard() + of_alerts() + of_runbooks()


def metrics_in(expr: str) -> dict[str, set[str]]:
    """Return each metric of a query with the labels that select it; without recorded series."""
    expr = _RECORDED.sub("", expr)
    found: dict[str, set[str]] = {}
    for name, matchers in _SELECTOR.findall(expr):
        found.setdefault(name, set()).update(_LABEL.findall(matchers))
    for name in _BARE.findall(expr):
        found.setdefault(name, set())
    return found


def grouping_labels(expr: str) -> set[str]:
    """Return the labels that a query groups or joins by."""
    return {
        label.strip() for labels in _GROUPING.findall(expr) for label in labels.split(",") if label
    }
