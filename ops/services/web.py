"""Small HTTP client for the operator's own services: one request, one reply, one exception."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from typing import Any

TIMEOUT_SECONDS = 5.0
"""For questions that a healthy service answers at once."""

# The services are ours and near: a proxy that the environment names must not get in between.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class UnreachableError(Exception):
    """No HTTP reply came; the message names the URL and the cause."""


@dataclass(frozen=True)
class Reply:
    """An HTTP reply of any status.

    Attributes:
        status: HTTP status code.
        headers: Reply headers, case-insensitive.
        body: The whole body.
        seconds: Time from sending to the last byte.
    """

    status: int
    headers: Message
    body: bytes
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the status is 200."""
        return self.status == 200  # noqa: PLR2004 (the HTTP status)

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:  # noqa: ANN401 (JSON is any value)
        """Parse the body. Raises ValueError when it is no JSON."""
        return json.loads(self.body)


def get(url: str, *, headers: Mapping[str, str] | None = None) -> Reply:
    """GET ``url``. Raises UnreachableError when no reply comes."""
    return _send(urllib.request.Request(url, headers=dict(headers or {})), TIMEOUT_SECONDS)  # noqa: S310 (the operator's URL)


def post(
    url: str,
    body: Mapping[str, Any],
    *,
    timeout: float = TIMEOUT_SECONDS,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """POST ``body`` as JSON and read the whole reply. Raises UnreachableError as ``get``."""
    request = urllib.request.Request(  # noqa: S310 (the operator's URL)
        url,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    return _send(request, timeout)


def send(
    method: str, url: str, body: object = None, *, headers: Mapping[str, str] | None = None
) -> Reply:
    """Send any request, with ``body`` as JSON unless None. Raises UnreachableError as ``get``."""
    data = None if body is None else json.dumps(body).encode()
    kind = {} if data is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(  # noqa: S310 (the operator's URL)
        url, data=data, headers={**kind, **(headers or {})}, method=method
    )
    return _send(request, TIMEOUT_SECONDS)


def is_ready(url: str) -> bool:
    """Whether ``url`` answers 200 now."""
    try:
        return get(url).ok
    except UnreachableError:
        return False


def _send(request: urllib.request.Request, timeout: float) -> Reply:
    started = time.monotonic()
    try:
        with _DIRECT.open(request, timeout=timeout) as reply:
            return Reply(reply.status, reply.headers, reply.read(), time.monotonic() - started)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers, error.read(), time.monotonic() - started)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UnreachableError(f"{request.full_url}: {reason}") from error
