"""The drill's temporary content in a running Grafana.

A folder with the rules, a data source for the drill's Prometheus and a contact point for its
webhook receiver. Their names are fixed, so that the next drill finds what a killed one left behind.

Since Grafana 11 each rule can name its contact point. In older versions notifications reach the
receiver only through Grafana's single tree of notification policies. The drill puts a route of its
own first, which matches only the drill's label, and removes it again. It leaves the rest of the
tree alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from alerts.grafana import Dialect, Query, Rule, RuleGroup, uid_of
from monitoring.names import DRILL_NAME
from ops.clients.grafana import GrafanaApi, GrafanaError
from ops.drill.intervals import DrillConfig
from ops.drill.timeline import State
from ops.drill.watcher import AlertSourceError
from ops.processes.polling import Poller

FOLDER_TITLE: Final = "Mistral drill (temporary)"
FIRST_WITH_OWN_RECEIVERS: Final = (11, 0)
FIRST_WITH_CURRENT_FIELDS: Final = (12, 0)

# An expression that never returns a sample.
NEVER: Final = "vector(0) > 0"

# Grafana's Alertmanager drops an alert that is no longer sent after about two minutes.
RESOLVE_TIMEOUT_SECONDS: Final = 180.0

# Grafana's Alertmanager reads its configuration once a minute.
ROUTE_TIMEOUT_SECONDS: Final = 90.0

_PROVISIONING: Final = "/api/v1/provisioning"
_POLICIES: Final = f"{_PROVISIONING}/policies"
_ROUTING: Final = {
    "receiver": DRILL_NAME,
    "group_by": ["alertname"],
    "group_wait": "1s",
    "group_interval": "5s",
    "repeat_interval": "1h",
}
_STATES: Final = {"pending": State.PENDING, "firing": State.FIRING, "recovering": State.FIRING}


@dataclass(frozen=True)
class DrillContent:
    """What the drill adds to one Grafana.

    Attributes:
        api: Client of its API.
        prometheus: Base URL of the drill's Prometheus, for Grafana to use.
        receiver: URL of the drill's webhook receiver, for Grafana to use.
        config: Thresholds and intervals of the rules.
    """

    api: GrafanaApi
    prometheus: str
    receiver: str
    config: DrillConfig

    def create(self) -> None:
        """Create everything. After a GrafanaError, ``remove`` cleans up what was created."""
        version = self.api.version()
        own_receivers = version >= FIRST_WITH_OWN_RECEIVERS
        dialect: Dialect = "current" if version >= FIRST_WITH_CURRENT_FIELDS else "before-12"
        self.api.post("/api/folders", {"uid": DRILL_NAME, "title": FOLDER_TITLE})
        self.api.post("/api/datasources", _datasource(self.prometheus))
        self.api.post(f"{_PROVISIONING}/contact-points", _contact_point(self.receiver))
        if not own_receivers:
            self._put_policies(with_route)
        for group in self.config.grafana_rules(DRILL_NAME, dialect):
            path = f"{_PROVISIONING}/folder/{DRILL_NAME}/rule-groups/{group.name}"
            self.api.put(path, group_body(group, own_receivers=own_receivers))
        self._await_route(must_be_shown=not own_receivers)

    def _await_route(self, *, must_be_shown: bool) -> None:
        """Wait until the running Alertmanager has our route.

        Until then it would send our alerts to the receivers of the real ones. Grafana does not
        always show routes that it derives from rules; in that case the timeout is long enough for
        the Alertmanager to have read them.
        """
        shown = Poller().until(self._is_routed, bool, timeout=ROUTE_TIMEOUT_SECONDS)
        if must_be_shown and not shown:
            raise GrafanaError(
                f"Grafana's Alertmanager did not load the drill's route within "
                f"{ROUTE_TIMEOUT_SECONDS:g} s"
            )

    def _is_routed(self) -> bool:
        status = self.api.get("/api/alertmanager/grafana/api/v2/status")
        return any(
            route.get("receiver") == DRILL_NAME for route in _routes(status["config"]["route"])
        )

    def check_data_source(self) -> None:
        """Raise GrafanaError unless Grafana can query the drill's Prometheus."""
        source = {"type": "prometheus", "uid": DRILL_NAME}
        query = {"refId": "A", "datasource": source, "expr": "vector(1)", "instant": True}
        response = self.api.post(
            "/api/ds/query", {"queries": [query], "from": "now-1m", "to": "now"}
        )
        if error := response["results"]["A"].get("error"):
            raise GrafanaError(f"Grafana can't query {self.prometheus}: {error}")

    def remove(self) -> list[str]:
        """Remove everything, including what an earlier drill left behind.

        Returns:
            What went wrong; one error does not stop the remaining steps.
        """
        steps: tuple[Callable[[], None], ...] = (
            self._remove_alerting,
            lambda: self.api.delete(f"/api/datasources/uid/{DRILL_NAME}"),
            lambda: self.api.delete(f"/api/folders/{DRILL_NAME}?forceDeleteRules=true"),
        )
        problems = []
        for step in steps:
            try:
                step()
            except (GrafanaError, AlertSourceError) as error:
                problems.append(str(error))
        return problems

    def inventory(self) -> dict[str, Any]:
        """Return what Grafana holds, by each kind that the drill touches."""
        get = self.api.get
        return {
            "folders": _uids(get("/api/folders")),
            "data sources": _uids(get("/api/datasources")),
            "contact points": _uids(get(f"{_PROVISIONING}/contact-points")),
            "alert rules": _uids(get(f"{_PROVISIONING}/alert-rules")),
            "notification policies": get(_POLICIES),
        }

    def _remove_alerting(self) -> None:
        """Resolve the alerts, then delete the rules, then the route and the contact point.

        An alert that outlives its rule or its route would be sent to the receivers of the real
        alerts.
        """
        self._resolve_alerts()
        for rule in self._rules():
            self.api.delete(f"{_PROVISIONING}/alert-rules/{rule['uid']}")
        self._put_policies(without_route)
        self._delete_contact_point()

    def _resolve_alerts(self) -> None:
        """Make every rule false and wait until Grafana's Alertmanager has no alert of ours."""
        if self._no_alerts():
            return
        for rule in self._rules():
            query, *rest = rule["data"]
            query = {**query, "model": {**query["model"], "expr": NEVER}}
            path = f"{_PROVISIONING}/alert-rules/{rule['uid']}"
            self.api.put(path, {**rule, "data": [query, *rest]})
        if not Poller().until(self._no_alerts, bool, timeout=RESOLVE_TIMEOUT_SECONDS):
            raise GrafanaError(
                f"the drill's alerts have not resolved within {RESOLVE_TIMEOUT_SECONDS:g} s"
            )

    def _no_alerts(self) -> bool:
        alerts = self.api.get("/api/alertmanager/grafana/api/v2/alerts")
        if any(alert["labels"].get("drill") == DRILL_NAME for alert in alerts):
            return False
        states = GrafanaAlerts(self.api).states().values()
        return all(state is State.INACTIVE for state in states)

    def _rules(self) -> list[dict[str, Any]]:
        rules = self.api.get(f"{_PROVISIONING}/alert-rules")
        return [rule for rule in rules if rule["folderUID"] == DRILL_NAME]

    def _delete_contact_point(self) -> None:
        points = self.api.get(f"{_PROVISIONING}/contact-points")
        if any(point["uid"] == DRILL_NAME for point in points):
            self.api.delete(f"{_PROVISIONING}/contact-points/{DRILL_NAME}")

    def _put_policies(self, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        tree = self.api.get(_POLICIES)
        changed = change(tree)
        if changed == tree:
            return
        # Without this header Grafana marks the tree as provisioned, and its UI refuses to edit it.
        headers = {} if tree.get("provenance") else {"X-Disable-Provenance": "true"}
        self.api.put(_POLICIES, changed, headers)


@dataclass(frozen=True)
class GrafanaAlerts:
    """The alerts as Grafana evaluates them in the drill's folder."""

    api: GrafanaApi
    where: str = "in Grafana"
    shows_pending: bool = True

    def states(self) -> Mapping[str, State]:
        """Return the state of every rule."""
        try:
            response = self.api.get("/api/prometheus/grafana/api/v1/rules")
        except (GrafanaError, ValueError) as error:
            raise AlertSourceError(str(error)) from error
        return {
            rule["name"]: _STATES.get(rule["state"].lower(), State.INACTIVE)
            for group in response["data"]["groups"]
            if group["file"] == FOLDER_TITLE
            for rule in group["rules"]
        }


def with_route(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of policies with the drill's route before all others."""
    route = {**_ROUTING, "object_matchers": [["drill", "=", DRILL_NAME]]}
    return {**tree, "routes": [route, *without_route(tree).get("routes", [])]}


def without_route(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of policies without the drill's route."""
    routes = [route for route in tree.get("routes", []) if route.get("receiver") != DRILL_NAME]
    rest = {name: value for name, value in tree.items() if name != "routes"}
    return {**rest, "routes": routes} if routes else rest


def _routes(route: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield route
    for child in route.get("routes") or []:
        yield from _routes(child)


def group_body(group: RuleGroup, *, own_receivers: bool) -> dict[str, Any]:
    """Return a group of rules in the format of Grafana's provisioning API."""
    return {
        "title": group.name,
        "folderUid": DRILL_NAME,
        "interval": group.interval_seconds,
        "rules": [
            _rule_body(rule, group.name, own_receivers=own_receivers) for rule in group.rules
        ],
    }


def _rule_body(rule: Rule, group: str, *, own_receivers: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "uid": f"drill-{uid_of(rule.title)}",
        "title": rule.title,
        "orgID": 1,
        "folderUID": DRILL_NAME,
        "ruleGroup": group,
        "condition": rule.condition,
        "for": rule.for_,
        "noDataState": rule.no_data_state,
        "execErrState": rule.exec_err_state,
        "labels": {**rule.labels, "drill": DRILL_NAME},
        "annotations": rule.annotations,
        "data": [_query_body(query) for query in rule.queries],
    }
    if rule.missing_series_evals_to_resolve is not None:
        body["missingSeriesEvalsToResolve"] = rule.missing_series_evals_to_resolve
    if own_receivers:
        body["notification_settings"] = _ROUTING
    return body


def _query_body(query: Query) -> dict[str, Any]:
    return {
        "refId": query.ref_id,
        "datasourceUid": query.datasource_uid,
        "relativeTimeRange": {"from": query.from_seconds, "to": 0},
        "model": query.model,
    }


def _datasource(url: str) -> dict[str, Any]:
    return {
        "uid": DRILL_NAME,
        "name": DRILL_NAME,
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "jsonData": {"httpMethod": "POST"},
    }


def _contact_point(url: str) -> dict[str, Any]:
    return {"uid": DRILL_NAME, "name": DRILL_NAME, "type": "webhook", "settings": {"url": url}}


def _uids(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(str(entry["uid"] or entry.get("name")) for entry in entries)
