"""A small HTTP client: one request, one response, one exception."""

import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Any

from infra.http_proxies import opener

# For requests that a healthy service answers at once.
TIMEOUT_SECONDS = 5.0


class UnreachableError(Exception):
    """There was no HTTP response; the message has the URL and the cause."""


@dataclass(frozen=True)
class Response:
    """An HTTP response of any status.

    Attributes:
        status: HTTP status code.
        headers: Case-insensitive.
        body: The whole body.
        seconds: Time from sending the request to the last byte.
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
        """Parse the body. Raises ValueError when it isn't JSON."""
        return json.loads(self.body)


def get(url: str, *, headers: Mapping[str, str] | None = None, ca_file: str = "") -> Response:
    """GET ``url``.

    Args:
        url: An http or https URL.
        headers: Further headers.
        ca_file: PEM file with the authority of the server's certificate; empty for the system's.

    Raises:
        UnreachableError: There is no response.
    """
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 (the operator's URL)
    return _send(request, TIMEOUT_SECONDS, ca_file)


def post(
    url: str,
    body: Mapping[str, Any],
    *,
    timeout: float = TIMEOUT_SECONDS,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """POST ``body`` as JSON and read the whole response. Raises UnreachableError as ``get``."""
    request = urllib.request.Request(  # noqa: S310 (the operator's URL)
        url,
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    return _send(request, timeout)


def send(
    method: str, url: str, body: object = None, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Send any request, with ``body`` as JSON unless None. Raises UnreachableError as ``get``."""
    data = None if body is None else json.dumps(body).encode()
    kind = {} if data is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(  # noqa: S310 (the operator's URL)
        url, data=data, headers={**kind, **(headers or {})}, method=method
    )
    return _send(request, TIMEOUT_SECONDS)


def is_ready(url: str) -> bool:
    """Return whether a GET of ``url`` gets status 200."""
    try:
        return get(url).ok
    except UnreachableError:
        return False


def _send(request: urllib.request.Request, timeout: float, ca_file: str = "") -> Response:
    started = time.monotonic()
    try:
        with opener(request.full_url, os.environ, _trusting(ca_file)).open(
            request, timeout=timeout
        ) as response:
            return Response(
                response.status, response.headers, response.read(), time.monotonic() - started
            )
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.headers, error.read(), time.monotonic() - started)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UnreachableError(f"{request.full_url}: {reason}") from error


def _trusting(ca_file: str) -> ssl.SSLContext | None:
    """Return what trusts the authorities of a file; None for the system's."""
    if not ca_file:
        return None
    return ssl.create_default_context(cafile=str(Path(ca_file).expanduser()))
