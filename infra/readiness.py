"""What Grafana must be before anything is written to it, and after: plain HTTP, no Pulumi.

The provider's own retries hide what is wrong (a wrong password looks like a hang, a refused
connection can crash it), so these checks come first and say what to do.
"""

import base64
import http
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field

DEADLINE_SECONDS = 90.0
"""How long Grafana may take to answer when something is to be written to it."""

_TIMEOUT_SECONDS = 5.0
_PAUSE_SECONDS = 1.0


class NotReadyError(Exception):
    """Grafana cannot be provisioned; the message says why and what to do."""


@dataclass(frozen=True)
class Login:
    """How Grafana knows us.

    Attributes:
        user: Name of the user; empty for a token.
        secret: Password or token; no representation shows it.
        remedy: What to do where Grafana refuses it.
    """

    user: str
    secret: str = field(repr=False)
    remedy: str

    @property
    def credentials(self) -> str:
        """As the Grafana provider takes them: ``user:password``, or the token."""
        return f"{self.user}:{self.secret}" if self.user else self.secret

    @property
    def header(self) -> str:
        """Value of the ``Authorization`` header."""
        if not self.user:
            return f"Bearer {self.secret}"
        return f"Basic {base64.b64encode(self.credentials.encode()).decode()}"


@dataclass(frozen=True)
class GrafanaApi:
    """One Grafana, as far as it must be checked.

    Attributes:
        url: Its base URL.
        login: Who we are.
        pause: Waits that many seconds between two attempts.
        clock: Tells the time in seconds.
    """

    url: str
    login: Login
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def await_ready(self, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until Grafana answers, then make sure that it lets us in.

        Raises:
            NotReadyError: It did not answer in time, or refuses the login.
        """
        end = self.clock() + deadline_seconds
        while (problem := _unhealthy(self.url)) is not None:
            if self.clock() >= end:
                raise NotReadyError(
                    f"Grafana at {self.url} is not healthy after {deadline_seconds:g} s "
                    f"({problem}); look at its log"
                )
            self.pause(_PAUSE_SECONDS)
        if _status(f"{self.url}/api/org", self.login) == http.HTTPStatus.UNAUTHORIZED:
            raise NotReadyError(self._refused())

    def confirm_folder(self, uid: str) -> None:
        """Make sure that Grafana still knows us and has what was written to it earlier.

        A Grafana that does not answer is not judged: nothing had to be written to it.

        Raises:
            NotReadyError: It refuses the login, or the folder is gone, and so is all the rest:
                the database is a new one.
        """
        try:
            status = _status(f"{self.url}/api/folders/{uid}", self.login)
        except OSError:
            return
        if status == http.HTTPStatus.UNAUTHORIZED:
            raise NotReadyError(self._refused())
        if status == http.HTTPStatus.NOT_FOUND:
            raise NotReadyError(
                f"Grafana at {self.url} has lost its content: folder {uid} is missing, as after "
                "its volume was removed. Run `pulumi refresh`, which sees what is missing, and "
                "then `pulumi up` again."
            )

    def _refused(self) -> str:
        return (
            f"Grafana at {self.url} refuses the login of this stack's settings; "
            + self.login.remedy
        )


def _unhealthy(url: str) -> str | None:
    try:
        status = _status(f"{url}/api/health", None)
    except OSError as error:
        return str(error)
    return None if status == http.HTTPStatus.OK else f"status {status}"


def _status(url: str, login: Login | None) -> int:
    request = urllib.request.Request(url)  # noqa: S310 - the settings accept http and https only
    if login is not None:
        request.add_header("Authorization", login.header)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:  # noqa: S310 - same
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
