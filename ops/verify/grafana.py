"""Grafana: is what was provisioned there, and does it see the metrics."""

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from alerts.rules import alerts
from alerts.thresholds import Thresholds
from dashboards.signals import DATASOURCE_UID, JOB
from ops import web
from ops.verify.report import Check, failed, judged, skipped
from ops.verify.targets import Targets

DASHBOARD_UID = "mistral-metrics"
HINT = "run `make up` again; it provisions Grafana anew"


def grafana_checks(targets: Targets) -> Iterator[Check]:
    """Check data source, dashboard, rules, and a query through the data source."""
    if targets.grafana is None:
        yield skipped("Grafana", "there is none here")
        return
    if targets.grafana_password is None:
        yield skipped("Grafana", "its password is not known", "set GRAFANA_PASSWORD")
        return
    grafana = _Grafana(targets.grafana, targets.grafana_user, targets.grafana_password)
    for name, check in {
        "data source is healthy": _datasource,
        "data source answers": _query,
        "dashboard is there": _dashboard,
        "alert rules are there": _rules,
    }.items():
        try:
            evidence, ok = check(grafana)
        except (web.UnreachableError, ValueError, LookupError, TypeError) as error:
            yield failed(name, f"{type(error).__name__}: {error}", HINT)
        else:
            yield judged(name, evidence, ok=ok, hint=HINT)


class _Grafana:
    """Grafana's HTTP API for one user; the password is never shown."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"}

    def ask(self, path: str) -> Any:  # noqa: ANN401 (JSON)
        reply = web.get(f"{self._url}{path}", headers=self._headers)
        if not reply.ok:
            raise ValueError(f"{path} gave {reply.status}")
        return reply.json()


def _datasource(grafana: _Grafana) -> tuple[str, bool]:
    health = grafana.ask(f"/api/datasources/uid/{DATASOURCE_UID}/health")
    return f"{health['status']}: {health['message']}", health["status"] == "OK"


def _query(grafana: _Grafana) -> tuple[str, bool]:
    expression = f'min(up{{job="{JOB}"}})'
    query = urlencode({"query": expression})
    path = f"/api/datasources/proxy/uid/{DATASOURCE_UID}/api/v1/query?{query}"
    value = float(grafana.ask(path)["data"]["result"][0]["value"][1])
    return f"{expression} = {value:g}", value == 1


def _dashboard(grafana: _Grafana) -> tuple[str, bool]:
    board = grafana.ask(f"/api/dashboards/uid/{DASHBOARD_UID}")["dashboard"]
    return f"{board['title']}, {len(board['panels'])} panels", bool(board["panels"])


def _rules(grafana: _Grafana) -> tuple[str, bool]:
    expected = {alert.name for alert in alerts(Thresholds())}
    there = {rule["title"] for rule in grafana.ask("/api/v1/provisioning/alert-rules")}
    missing = sorted(expected - there)
    return (f"missing: {', '.join(missing)}" if missing else f"{len(expected)} rules"), not missing
