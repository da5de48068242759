"""Grafana's HTTP API, as far as verify and the drill need it."""

import base64
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ops.clients import web


class GrafanaError(Exception):
    """Grafana refused a request; the message says which and why."""


@dataclass(frozen=True)
class GrafanaApi:
    """A Grafana and the user to log in as; the password is left out of its representation."""

    url: str
    user: str
    password: str = field(repr=False)

    def version(self) -> tuple[int, int]:
        """Return the major and minor version."""
        text = str(self.get("/api/health").get("version", ""))
        numbers = re.match(r"(\d+)\.(\d+)", text)
        if numbers is None:
            raise GrafanaError(f"Grafana's version can't be read from {text!r}")
        return int(numbers[1]), int(numbers[2])

    def get(self, path: str) -> Any:  # noqa: ANN401 (JSON)
        """GET a path and parse the response."""
        return self._ask("GET", path).json()

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 (JSON)
        """POST a body and parse the response."""
        return self._ask("POST", path, body).json()

    def put(self, path: str, body: object, headers: dict[str, str] | None = None) -> None:
        """PUT a body."""
        self._ask("PUT", path, body, headers)

    def delete(self, path: str) -> None:
        """DELETE a path; 404 is not an error."""
        self._ask("DELETE", path, may_be_missing=True)

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        may_be_missing: bool = False,
    ) -> web.Response:
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        all_headers = {"Authorization": f"Basic {login}", **(headers or {})}
        try:
            response = web.send(method, f"{self.url}{path}", body, headers=all_headers)
        except web.UnreachableError as error:
            raise GrafanaError(str(error)) from error
        missing = may_be_missing and response.status == HTTPStatus.NOT_FOUND
        if not missing and not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            raise GrafanaError(f"{method} {path} returned {response.status}: {response.text[:300]}")
        return response
