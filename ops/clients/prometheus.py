"""Prometheus' HTTP API, as far as the checks need it."""

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from monitoring.names import JOB
from ops.clients import web

SECONDS_OF = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

# Query with the value 1 while Prometheus scrapes the proxy.
PROXY_IS_UP = f'min(up{{job="{JOB}"}})'


class PrometheusError(Exception):
    """Prometheus did not answer a request; the message says which and why."""


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server.

    Attributes:
        url: Its base URL.
        authorization: Value of the ``Authorization`` header that it requires; empty for none.
        ca_file: PEM file with the authority of its certificate; empty for the system's.
    """

    url: str
    authorization: str = field(default="", repr=False)
    ca_file: str = ""

    def get(self, path: str) -> web.Response:
        """GET a path with the login. Raises UnreachableError when there is no response."""
        headers = {"Authorization": self.authorization} if self.authorization else {}
        return web.get(f"{self.url}{path}", headers=headers, ca_file=self.ca_file)

    def scalar(self, expression: str) -> float | None:
        """Return the value of an instant query with at most one series; None when it has none."""
        result = self._ask("query", {"query": expression})
        values = [float(series["value"][1]) for series in result["result"]]
        if len(values) > 1:
            raise PrometheusError(f"{expression} has {len(values)} series instead of one")
        return values[0] if values else None

    def vector(self, expression: str) -> list[dict[str, Any]]:
        """Return every series of an instant query, with its labels."""
        series: list[dict[str, Any]] = self._ask("query", {"query": expression})["result"]
        return series

    def targets(self, job: str) -> list[dict[str, Any]]:
        """Return the active scrape targets of a job."""
        result = self._ask("targets", {"state": "active"})
        return [target for target in result["activeTargets"] if target["labels"]["job"] == job]

    def alert_rules(self) -> dict[str, dict[str, Any]]:
        """Return the loaded alerting rules by name."""
        result = self._ask("rules", {"type": "alert"})
        return {rule["name"]: rule for group in result["groups"] for rule in group["rules"]}

    def firing(self) -> list[str]:
        """Return the names of the firing alerts, sorted."""
        alerts = self._ask("alerts", {})["alerts"]
        names = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
        return sorted(names)

    def version(self) -> str:
        """Return the version of the server."""
        return str(self._ask("status/buildinfo", {})["version"])

    def _ask(self, route: str, parameters: dict[str, str]) -> Any:  # noqa: ANN401 (JSON)
        query = f"?{urlencode(parameters)}" if parameters else ""
        try:
            response = self.get(f"/api/v1/{route}{query}")
            if response.status in _REFUSED:
                raise PrometheusError(
                    f"{self.url} refuses the login (status {response.status}): set prometheusUser "
                    "and prometheusPassword, or prometheusToken, and run `make up`"
                )
            body = response.json()
        except (web.UnreachableError, ValueError) as error:
            raise PrometheusError(str(error)) from error
        if body.get("status") != "success":
            raise PrometheusError(f"{route}: {body.get('error', response.status)}")
        return body["data"]


def seconds(duration: str) -> float:
    """Convert a Prometheus duration such as ``1m30s`` to seconds."""
    parts = re.findall(r"(\d+)(ms|s|m|h|d)", duration)
    return sum(int(number) * SECONDS_OF[unit] for number, unit in parts)
