"""Grafana: is what was provisioned there, and does it see the metrics."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

from alerts.rules import alerts
from monitoring.names import DATASOURCE_UID, JOB
from monitoring.thresholds import Thresholds
from ops.report import Check, failed, judged, skipped
from ops.services import web
from ops.targets import Targets

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
        "data source is there": _datasource,
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

    def get(self, path: str) -> Any:  # noqa: ANN401 (JSON)
        return self._checked(path, web.get(f"{self._url}{path}", headers=self._headers))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 (JSON)
        return self._checked(path, web.post(f"{self._url}{path}", body, headers=self._headers))

    def _checked(self, path: str, reply: web.Response) -> Any:  # noqa: ANN401 (JSON)
        if not reply.ok:
            raise ValueError(f"{path} gave {reply.status}")
        return reply.json()


def _datasource(grafana: _Grafana) -> tuple[str, bool]:
    datasource = grafana.get(f"/api/datasources/uid/{DATASOURCE_UID}")
    return f"{datasource['name']}: {datasource['url']}", datasource["type"] == "prometheus"


def _query(grafana: _Grafana) -> tuple[str, bool]:
    """Ask as a panel does; Grafana has other ways, but not in every version."""
    expression = f'min(up{{job="{JOB}"}})'
    query = {
        "refId": "A",
        "datasource": {"type": "prometheus", "uid": DATASOURCE_UID},
        "expr": expression,
        "instant": True,
        "range": False,
    }
    answer = grafana.post("/api/ds/query", {"queries": [query], "from": "now-5m", "to": "now"})
    value = float(answer["results"]["A"]["frames"][0]["data"]["values"][1][-1])
    return f"{expression} = {value:g}", value == 1


def _dashboard(grafana: _Grafana) -> tuple[str, bool]:
    board = grafana.get(f"/api/dashboards/uid/{DASHBOARD_UID}")["dashboard"]
    return f"{board['title']}, {len(board['panels'])} panels", bool(board["panels"])


def _rules(grafana: _Grafana) -> tuple[str, bool]:
    expected = {alert.name for alert in alerts(Thresholds())}
    there = {rule["title"] for rule in grafana.get("/api/v1/provisioning/alert-rules")}
    missing = sorted(expected - there)
    return (f"missing: {', '.join(missing)}" if missing else f"{len(expected)} rules"), not missing
