"""Checks of Grafana before anything is written to it, and afterwards: plain HTTP, no Pulumi.

The provider's own retries hide what is wrong: a wrong password looks like a hang, and a refused
connection can crash it. So these checks run first and say what to do.
"""

import base64
import http
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException

from infra.http_proxies import opener

# How long to wait for Grafana to become healthy before something is written to it.
READY_TIMEOUT_SECONDS = 90.0

_TIMEOUT_SECONDS = 5.0
_PAUSE_SECONDS = 1.0


_KINDS = {"folders": "folders", "datasources": "data sources"}
_REMEDY_FOR_ROLE = "give its service account the role Admin in Grafana"


class NotReadyError(Exception):
    """Grafana cannot be provisioned; the message says why and what to do."""


@dataclass(frozen=True)
class Login:
    """How the stack logs in to Grafana.

    Attributes:
        user: Name of the user; empty for a token.
        secret: Password or token; left out of ``repr``.
        remedy: What to do if Grafana refuses it.
    """

    user: str
    secret: str = field(repr=False)
    remedy: str

    @property
    def credentials(self) -> str:
        """``user:password``, or the token, as the Grafana provider takes them."""
        return f"{self.user}:{self.secret}" if self.user else self.secret

    @property
    def header(self) -> str:
        """Value of the ``Authorization`` header."""
        if not self.user:
            return f"Bearer {self.secret}"
        return f"Basic {base64.b64encode(self.credentials.encode()).decode()}"


@dataclass(frozen=True)
class GrafanaCheck:
    """Checks of one Grafana server.

    Attributes:
        url: Its base URL.
        login: How the stack logs in.
        pause: Sleeps for that many seconds between two attempts.
        clock: Returns the time in seconds.
    """

    url: str
    login: Login
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def await_ready(self, timeout_seconds: float = READY_TIMEOUT_SECONDS) -> None:
        """Wait until Grafana is healthy, then check that it accepts the login.

        Raises:
            NotReadyError: It isn't healthy in time, or refuses the login.
        """
        end = self.clock() + timeout_seconds
        while (problem := _unhealthy(self.url)) is not None:
            if self.clock() >= end:
                raise NotReadyError(
                    f"Grafana at {self.url} is not healthy after {timeout_seconds:g} s "
                    f"({problem}); see its log"
                )
            self.pause(_PAUSE_SECONDS)
        self._require_access("the organisation", "/api/org")

    def require_access(self, *, data_sources: bool, rules: bool) -> None:
        """Check that the login may write folders, data sources and alert rules.

        Whether it may read them doesn't tell: Grafana shows folders and data sources to every role.

        Args:
            data_sources: Whether the stack has one of its own.
            rules: Whether the stack has alert rules in Grafana.

        Raises:
            NotReadyError: It may not.
        """
        allowed = self._allowed_actions()
        needed = {"folders", "datasources"} if data_sources else {"folders"}
        for kind in sorted(needed):
            if allowed is not None and not {f"{kind}:create", f"{kind}:write"} & allowed:
                self._refuse(_KINDS[kind], http.HTTPStatus.FORBIDDEN)
        if rules:
            # Only those who may provision rules may read them here.
            self._require_access("alert rules", "/api/v1/provisioning/alert-rules")

    def require_datasource(self, uid: str) -> None:
        """Check that there is a Prometheus data source with this uid.

        Raises:
            NotReadyError: There is none, or the login may not read it.
        """
        status = self._require_access("data sources", f"/api/datasources/uid/{uid}")
        if status == http.HTTPStatus.NOT_FOUND:
            raise NotReadyError(
                f"Grafana at {self.url} has no data source with the uid {uid}: set datasourceUid "
                "to the uid of a Prometheus data source, or to nothing to create one"
            )

    def confirm_folder(self, uid: str) -> None:
        """Check that Grafana accepts the login and still has what was written to it earlier.

        A Grafana that can't be reached passes: nothing had to be written to it.

        Raises:
            NotReadyError: It refuses the login; or the folder is missing, which means that the
                database is new and everything else is missing too.
        """
        try:
            status, _ = _get(f"{self.url}/api/folders/{uid}", self.login)
        except OSError:
            return
        self._refuse("folders", status)
        if status == http.HTTPStatus.NOT_FOUND:
            raise NotReadyError(
                f"Grafana at {self.url} has lost its content: folder {uid} is missing, as happens "
                "when its volume is removed. Run `pulumi refresh`, which finds what is missing, "
                "and then `pulumi up` again."
            )

    def _require_access(self, what: str, path: str) -> int:
        status, _ = self._ask(path)
        self._refuse(what, status)
        return status

    def _ask(self, path: str) -> tuple[int, bytes]:
        try:
            return _get(f"{self.url}{path}", self.login)
        except OSError as error:
            raise NotReadyError(
                f"Grafana at {self.url} was healthy, but doesn't answer {path} ({error}); see its "
                "log, and run `pulumi up` again"
            ) from error

    def _allowed_actions(self) -> set[str] | None:
        """Return what the login may do, in Grafana's words; None if Grafana doesn't say."""
        status, body = self._ask("/api/access-control/user/actions")
        try:
            actions = json.loads(body) if status == http.HTTPStatus.OK else None
        except ValueError:
            return None
        return {name for name, allowed in actions.items() if allowed} if actions else None

    def _refuse(self, what: str, status: int) -> None:
        """Raise an error that says what to do if this is the status of a refused request."""
        if status == http.HTTPStatus.UNAUTHORIZED:
            raise NotReadyError(
                f"Grafana at {self.url} refuses the login of this stack's settings; "
                + self.login.remedy
            )
        if status == http.HTTPStatus.FORBIDDEN:
            raise NotReadyError(
                f"Grafana at {self.url} accepts the login of this stack's settings, but its role "
                f"may not write {what}; {_REMEDY_FOR_ROLE}"
            )


def _unhealthy(url: str) -> str | None:
    try:
        status, _ = _get(f"{url}/api/health", None)
    except OSError as error:
        return str(error)
    return None if status == http.HTTPStatus.OK else f"status {status}"


def _get(url: str, login: Login | None) -> tuple[int, bytes]:
    """Return the status and the body of a response. Raises OSError when there is none."""
    request = urllib.request.Request(url)  # noqa: S310 - the settings accept http and https only
    if login is not None:
        request.add_header("Authorization", login.header)
    try:
        with opener(url, os.environ).open(request, timeout=_TIMEOUT_SECONDS) as reply:
            return int(reply.status), reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, b""
    except HTTPException as error:
        raise OSError(f"what it answers isn't HTTP: {error!r}") from error
