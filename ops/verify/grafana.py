"""Whether Grafana has the provisioned content and can query the metrics."""

from collections.abc import Iterator

from alerts.rules import alerts
from monitoring.names import DASHBOARD_UID
from monitoring.thresholds import Thresholds
from ops.clients.grafana import GrafanaApi, GrafanaError
from ops.clients.prometheus import PROXY_IS_UP
from ops.report import Check, failed, judged, skipped
from ops.running.targets import Targets

HINT = "run `make up` again, which provisions Grafana anew"


def grafana_checks(targets: Targets) -> Iterator[Check]:
    """Check the data source, a query through it, the dashboard and the alert rules."""
    if targets.grafana is None:
        yield skipped("Grafana", "there is none")
        return
    if targets.grafana_password is None:
        yield skipped("Grafana", "its password is unknown", "set GRAFANA_PASSWORD")
        return
    grafana = GrafanaApi(targets.grafana, targets.grafana_user, targets.grafana_password)
    checks = {
        "data source exists": _datasource,
        "data source runs queries": _query,
        "dashboard exists": _dashboard,
    }
    if targets.grafana_has_rules:
        checks["alert rules exist"] = _rules
    for name, check in checks.items():
        try:
            evidence, ok = check(grafana, targets)
        except (GrafanaError, ValueError, LookupError, TypeError) as error:
            yield failed(name, f"{type(error).__name__}: {error}", HINT)
        else:
            yield judged(name, evidence, ok=ok, hint=HINT)
    if not targets.grafana_has_rules:
        yield skipped("alert rules exist", "grafanaRules is none")


def _datasource(grafana: GrafanaApi, targets: Targets) -> tuple[str, bool]:
    datasource = grafana.get(f"/api/datasources/uid/{targets.datasource_uid}")
    return f"{datasource['name']}: {datasource['url']}", datasource["type"] == "prometheus"


def _query(grafana: GrafanaApi, targets: Targets) -> tuple[str, bool]:
    """Query as a panel does; Grafana's other ways do not exist in every version."""
    query = {
        "refId": "A",
        "datasource": {"type": "prometheus", "uid": targets.datasource_uid},
        "expr": PROXY_IS_UP,
        "instant": True,
        "range": False,
    }
    found = grafana.post("/api/ds/query", {"queries": [query], "from": "now-5m", "to": "now"})
    value = float(found["results"]["A"]["frames"][0]["data"]["values"][1][-1])
    return f"{PROXY_IS_UP} = {value:g}", value == 1


def _dashboard(grafana: GrafanaApi, _targets: Targets) -> tuple[str, bool]:
    board = grafana.get(f"/api/dashboards/uid/{DASHBOARD_UID}")["dashboard"]
    return f"{board['title']}, {len(board['panels'])} panels", bool(board["panels"])


def _rules(grafana: GrafanaApi, _targets: Targets) -> tuple[str, bool]:
    expected = {alert.name for alert in alerts(Thresholds())}
    found = {rule["title"] for rule in grafana.get("/api/v1/provisioning/alert-rules")}
    missing = ", ".join(sorted(expected - found))
    return (f"missing: {missing}" if missing else f"{len(expected)} rules"), not missing
