"""Grafana's HTTP API as the drill needs it; one exception says what was refused and why."""

import base64
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from ops.services import web


class GrafanaError(Exception):
    """Grafana did not do what was asked; the message says what and why."""


@dataclass(frozen=True)
class GrafanaApi:
    """One user's way to a Grafana; the password is never shown."""

    url: str
    user: str
    password: str = field(repr=False)

    def version(self) -> tuple[int, int]:
        """Major and minor version."""
        text = str(self.get("/api/health").get("version", ""))
        numbers = re.match(r"(\d+)\.(\d+)", text)
        if numbers is None:
            raise GrafanaError(f"Grafana's version can't be read from {text!r}")
        return int(numbers[1]), int(numbers[2])

    def get(self, path: str) -> Any:  # noqa: ANN401 (JSON)
        """Read something."""
        return self._ask("GET", path).json()

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 (JSON)
        """Make something that is not there yet, or ask with a body."""
        return self._ask("POST", path, body).json()

    def put(self, path: str, body: object, headers: dict[str, str] | None = None) -> None:
        """Replace something."""
        self._ask("PUT", path, body, headers)

    def delete(self, path: str) -> None:
        """Delete something; that it is not there is as good."""
        self._ask("DELETE", path, may_be_missing=True)

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        may_be_missing: bool = False,
    ) -> web.Reply:
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        everything = {"Authorization": f"Basic {login}", **(headers or {})}
        try:
            reply = web.send(method, f"{self.url}{path}", body, headers=everything)
        except web.UnreachableError as error:
            raise GrafanaError(str(error)) from error
        missing = may_be_missing and reply.status == HTTPStatus.NOT_FOUND
        if not missing and not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            raise GrafanaError(f"{method} {path} gave {reply.status}: {reply.text[:300]}")
        return reply
