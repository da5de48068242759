"""A stand-in for Grafana: stores what it is sent and refuses what a real one refuses."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from ops.drill.grafana_content import NEVER
from tests.ops.local_http import Request, Response, serving

PROVISIONING = "/api/v1/provisioning"
OWN_TREE = {
    "receiver": "team",
    "routes": [{"receiver": "team", "object_matchers": [["severity", "=", "critical"]]}],
}


@dataclass
class GrafanaStandIn:
    """The content of one Grafana.

    Attributes:
        version: Version that it reports.
        alerts: Alerts in its Alertmanager.
        misrouted: Alerts that it sent to the team because their rule or route was deleted first.
        headers: Headers of each PUT.
        refuses: Paths for which it responds with 403.
    """

    version: str = "12.4.0"
    folders: dict[str, Any] = field(default_factory=lambda: {"team": {"uid": "team"}})
    sources: dict[str, Any] = field(default_factory=lambda: {"prom": {"uid": "prom"}})
    points: dict[str, Any] = field(default_factory=lambda: {"team": {"uid": "team"}})
    rules: dict[str, Any] = field(default_factory=dict)
    tree: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(OWN_TREE)))
    alerts: list[str] = field(default_factory=list)
    misrouted: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    def answer(self, request: Request) -> Response:
        path = urlsplit(request.path).path
        body = json.loads(request.body() or b"null")
        if path in self.refuses:
            return _json({"message": "no"}, HTTPStatus.FORBIDDEN)
        if request.method == "GET":
            return self._shown(path)
        if request.method == "PUT":
            return self._put(path, body, request.headers)
        return self._posted(path, body) if request.method == "POST" else self._deleted(path)

    def _shown(self, path: str) -> Response:
        if path.endswith("/alertmanager/grafana/api/v2/alerts"):
            shown = [{"labels": {"drill": "mistral-drill", "alertname": a}} for a in self.alerts]
            if all(rule["data"][0]["model"]["expr"] == NEVER for rule in self.rules.values()):
                self.alerts.clear()  # as after the next evaluation
            return _json(shown)
        return _json(
            {
                "/api/health": {"version": self.version},
                "/api/folders": list(self.folders.values()),
                "/api/datasources": list(self.sources.values()),
                f"{PROVISIONING}/contact-points": list(self.points.values()),
                f"{PROVISIONING}/alert-rules": list(self.rules.values()),
                f"{PROVISIONING}/policies": self.tree,
                "/api/alertmanager/grafana/api/v2/status": {"config": {"route": self._running()}},
                "/api/prometheus/grafana/api/v1/rules": {"data": {"groups": []}},
            }[path]
        )

    def _running(self) -> dict[str, Any]:
        """The tree in force, including the routes that a current Grafana derives from rules."""
        own = [rule["notification_settings"] for rule in self.rules.values() if self.current]
        return {**self.tree, "routes": [*own, *self.tree.get("routes", [])]}

    @property
    def current(self) -> bool:
        return int(self.version.partition(".")[0]) >= 11

    def _posted(self, path: str, body: Any) -> Response:  # noqa: ANN401 (JSON)
        if path == "/api/ds/query":
            return _json({"results": {"A": {"frames": []}}})
        shelf = {
            "/api/folders": self.folders,
            "/api/datasources": self.sources,
            f"{PROVISIONING}/contact-points": self.points,
        }[path]
        if body["uid"] in shelf:
            return _json({"message": "exists"}, HTTPStatus.CONFLICT)
        shelf[body["uid"]] = body
        return _json(body)

    def _put(self, path: str, body: Any, headers: Mapping[str, str]) -> Response:  # noqa: ANN401
        self.headers.append(headers)
        if path.startswith(f"{PROVISIONING}/alert-rules/"):
            self.rules[body["uid"]] = body
            return _json(body)
        if path == f"{PROVISIONING}/policies":
            self._route(body)
            return _json({}, HTTPStatus.ACCEPTED)
        for rule in body["rules"]:
            assert rule["folderUID"] in self.folders
            assert rule["data"][0]["datasourceUid"] in self.sources
            self.rules[rule["uid"]] = rule
            self.alerts.append(rule["title"])
        return _json(body)

    def _route(self, tree: dict[str, Any]) -> None:
        self.tree = tree
        if not any(route["receiver"] == "mistral-drill" for route in tree.get("routes", [])):
            self.misrouted += self.alerts

    def _deleted(self, path: str) -> Response:
        kind, _, uid = path.rpartition("/")
        if kind == f"{PROVISIONING}/contact-points" and uid in json.dumps([self.tree, self.rules]):
            return _json({"message": "in use"}, HTTPStatus.CONFLICT)
        if kind == f"{PROVISIONING}/alert-rules":
            self.misrouted += self.alerts
        shelf = {
            "/api/folders": self.folders,
            "/api/datasources/uid": self.sources,
            f"{PROVISIONING}/contact-points": self.points,
            f"{PROVISIONING}/alert-rules": self.rules,
        }[kind]
        return _json({}) if shelf.pop(uid, None) else _json({}, HTTPStatus.NOT_FOUND)


@contextmanager
def grafana_standin(grafana: GrafanaStandIn) -> Iterator[str]:
    """Serve it; yields the base URL."""
    with serving(grafana.answer) as url:
        yield url


def _json(value: object, status: int = 200) -> Response:
    return Response(status, json.dumps(value).encode())
