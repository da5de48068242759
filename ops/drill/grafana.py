"""The drill's temporary content of a running Grafana: made for the drill, gone afterwards.

A folder with the rules, a data source for the drill's Prometheus and a contact point for its
receiver, all under fixed names, so that what a killed drill left behind is found by the next one.

Since Grafana 11 each rule names its contact point. Before, the only way to the receiver leads
through Grafana's one tree of policies: a route of ours is put first, for our label alone, and taken
out again; the rest of the tree is left as it is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from alerts.grafana import Dialect, Query, Rule, RuleGroup, uid_of
from ops.drill.pace import Pace
from ops.drill.timeline import State
from ops.drill.watching import ObserverError
from ops.services.grafana_api import GrafanaApi, GrafanaError
from ops.system.polling import Poller

NAME: Final = "mistral-drill"
"""Uid of folder, data source and contact point, and the label of the drill's alerts."""
FOLDER_TITLE: Final = "Mistral drill (temporary)"
FIRST_WITH_OWN_RECEIVERS: Final = (11, 0)
FIRST_OF_CURRENT_FIELDS: Final = (12, 0)
FALSE: Final = "vector(0) > 0"
"""A condition that never holds."""
CALM_SECONDS: Final = 180.0
"""Longer than an alert lives in Grafana's Alertmanager when nobody renews it (some two minutes)."""

ROUTED_SECONDS: Final = 90.0
"""Longer than Grafana's Alertmanager lets a change of its configuration wait (a minute)."""

_PROVISIONING: Final = "/api/v1/provisioning"
_POLICIES: Final = f"{_PROVISIONING}/policies"
_ROUTING: Final = {
    "receiver": NAME,
    "group_by": ["alertname"],
    "group_wait": "1s",
    "group_interval": "5s",
    "repeat_interval": "1h",
}
_STATES: Final = {"pending": State.PENDING, "firing": State.FIRING, "recovering": State.FIRING}


@dataclass(frozen=True)
class DrillContent:
    """What the drill puts into one Grafana.

    Attributes:
        api: The way to it.
        prometheus: Base URL of the drill's Prometheus as Grafana reaches it.
        receiver: URL of the drill's receiver as Grafana reaches it.
        pace: Limits and rhythm of the rules.
    """

    api: GrafanaApi
    prometheus: str
    receiver: str
    pace: Pace

    def create(self) -> None:
        """Put everything there. Raises GrafanaError; ``remove`` mends what is half done."""
        version = self.api.version()
        own_receivers = version >= FIRST_WITH_OWN_RECEIVERS
        dialect: Dialect = "current" if version >= FIRST_OF_CURRENT_FIELDS else "before-12"
        self.api.post("/api/folders", {"uid": NAME, "title": FOLDER_TITLE})
        self.api.post("/api/datasources", _datasource(self.prometheus))
        self.api.post(f"{_PROVISIONING}/contact-points", _contact_point(self.receiver))
        if not own_receivers:
            self._put_policies(with_route)
        for group in self.pace.grafana_rules(NAME, dialect):
            path = f"{_PROVISIONING}/folder/{NAME}/rule-groups/{group.name}"
            self.api.put(path, group_body(group, own_receivers=own_receivers))
        self._await_route(must_be_seen=not own_receivers)

    def _await_route(self, *, must_be_seen: bool) -> None:
        """Wait until the running Alertmanager knows our route, which it reads once a minute.

        Before, an alert of ours would be told to whoever gets the others. Routes that Grafana
        makes of rules need not be shown; then the time that it takes to read them has passed.
        """
        seen = Poller().until(self._is_routed, bool, timeout=ROUTED_SECONDS)
        if must_be_seen and not seen:
            raise GrafanaError(f"its Alertmanager does not take our route in {ROUTED_SECONDS:g} s")

    def _is_routed(self) -> bool:
        status = self.api.get("/api/alertmanager/grafana/api/v2/status")
        return any(route.get("receiver") == NAME for route in _routes(status["config"]["route"]))

    def check_reach(self) -> None:
        """Raise GrafanaError unless Grafana reaches the drill's Prometheus."""
        source = {"type": "prometheus", "uid": NAME}
        query = {"refId": "A", "datasource": source, "expr": "vector(1)", "instant": True}
        answer = self.api.post("/api/ds/query", {"queries": [query], "from": "now-1m", "to": "now"})
        if error := answer["results"]["A"].get("error"):
            raise GrafanaError(f"it can't query {self.prometheus}: {error}")

    def remove(self) -> list[str]:
        """Take everything away again, also what an earlier drill left; give what went wrong."""
        steps: tuple[Callable[[], None], ...] = (
            self._leave_the_alertmanager,
            lambda: self.api.delete(f"/api/datasources/uid/{NAME}"),
            lambda: self.api.delete(f"/api/folders/{NAME}?forceDeleteRules=true"),
        )
        problems = []
        for step in steps:
            try:
                step()
            except (GrafanaError, ObserverError) as error:
                problems.append(str(error))
        return problems

    def inventory(self) -> dict[str, Any]:
        """Give what Grafana holds of the kinds that the drill touches."""
        ask = self.api.get
        return {
            "folders": _uids(ask("/api/folders")),
            "data sources": _uids(ask("/api/datasources")),
            "contact points": _uids(ask(f"{_PROVISIONING}/contact-points")),
            "alert rules": _uids(ask(f"{_PROVISIONING}/alert-rules")),
            "notification policies": ask(_POLICIES),
        }

    def _leave_the_alertmanager(self) -> None:
        """Delete the rules, then their way to the receiver; in this order, and no sooner.

        An alert that outlives its rule or its route would be told to whoever gets the others.
        """
        self._calm()
        for rule in self._rules():
            self.api.delete(f"{_PROVISIONING}/alert-rules/{rule['uid']}")
        self._put_policies(without_route)
        self._delete_contact_point()

    def _calm(self) -> None:
        """Make every rule false and wait until Grafana has told that to its Alertmanager."""
        if self._is_calm():
            return
        for rule in self._rules():
            asking, *rest = rule["data"]
            asking = {**asking, "model": {**asking["model"], "expr": FALSE}}
            path = f"{_PROVISIONING}/alert-rules/{rule['uid']}"
            self.api.put(path, {**rule, "data": [asking, *rest]})
        if not Poller().until(self._is_calm, bool, timeout=CALM_SECONDS):
            raise GrafanaError(f"alerts of the drill are still there after {CALM_SECONDS:g} s")

    def _is_calm(self) -> bool:
        alerts = self.api.get("/api/alertmanager/grafana/api/v2/alerts")
        if any(alert["labels"].get("drill") == NAME for alert in alerts):
            return False
        states = InGrafana(self.api).states().values()
        return all(state is State.INACTIVE for state in states)

    def _rules(self) -> list[dict[str, Any]]:
        rules = self.api.get(f"{_PROVISIONING}/alert-rules")
        return [rule for rule in rules if rule["folderUID"] == NAME]

    def _delete_contact_point(self) -> None:
        points = self.api.get(f"{_PROVISIONING}/contact-points")
        if any(point["uid"] == NAME for point in points):
            self.api.delete(f"{_PROVISIONING}/contact-points/{NAME}")

    def _put_policies(self, change: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        tree = self.api.get(_POLICIES)
        changed = change(tree)
        if changed == tree:
            return
        # A tree that nobody provisioned must not become one that the UI refuses to edit.
        free = {} if tree.get("provenance") else {"X-Disable-Provenance": "true"}
        self.api.put(_POLICIES, changed, free)


@dataclass(frozen=True)
class InGrafana:
    """The alerts as Grafana evaluates them in the drill's folder."""

    api: GrafanaApi
    place: str = "in Grafana"
    shows_pending: bool = True

    def states(self) -> Mapping[str, State]:
        """Give every rule's state."""
        try:
            answer = self.api.get("/api/prometheus/grafana/api/v1/rules")
        except (GrafanaError, ValueError) as error:
            raise ObserverError(str(error)) from error
        return {
            rule["name"]: _STATES.get(rule["state"].lower(), State.INACTIVE)
            for group in answer["data"]["groups"]
            if group["file"] == FOLDER_TITLE
            for rule in group["rules"]
        }


def with_route(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Give the tree of policies with the drill's route before all others."""
    route = {**_ROUTING, "object_matchers": [["drill", "=", NAME]]}
    return {**tree, "routes": [route, *without_route(tree).get("routes", [])]}


def without_route(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Give the tree of policies without the drill's route."""
    routes = [route for route in tree.get("routes", []) if route.get("receiver") != NAME]
    rest = {name: value for name, value in tree.items() if name != "routes"}
    return {**rest, "routes": routes} if routes else rest


def _routes(route: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield route
    for below in route.get("routes") or []:
        yield from _routes(below)


def group_body(group: RuleGroup, *, own_receivers: bool) -> dict[str, Any]:
    """Write a group of rules as Grafana's provisioning API takes it."""
    return {
        "title": group.name,
        "folderUid": NAME,
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
        "folderUID": NAME,
        "ruleGroup": group,
        "condition": rule.condition,
        "for": rule.for_,
        "noDataState": rule.no_data_state,
        "execErrState": rule.exec_err_state,
        "labels": {**rule.labels, "drill": NAME},
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
        "uid": NAME,
        "name": NAME,
        "type": "prometheus",
        "access": "proxy",
        "url": url,
        "jsonData": {"httpMethod": "POST"},
    }


def _contact_point(url: str) -> dict[str, Any]:
    return {"uid": NAME, "name": NAME, "type": "webhook", "settings": {"url": url}}


def _uids(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(str(entry["uid"] or entry.get("name")) for entry in entries)
