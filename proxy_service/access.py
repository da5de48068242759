"""Who may call: the Host check against DNS rebinding and the allow list of web origins.

Source: Ollama's ``allowedHostsMiddleware`` and ``AllowedOrigins``.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable

from proxy_service.settings import BindAddress

# Any port, but nothing that only looks like one: "http://localhost:1.evil.example".
_LOCAL_ORIGIN = r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::[0-9]+)?"
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
_APP_ORIGINS = (
    "app://*",
    "file://*",
    "tauri://*",
    "vscode-webview://*",
    "vscode-file://*",
    "chrome-extension://*",
    "moz-extension://*",
    "safari-web-extension://*",
)
_ALLOWED_HEADERS = (
    "Authorization, Content-Type, User-Agent, Accept, X-Requested-With, OpenAI-Beta, "
    "x-stainless-arch, x-stainless-async, x-stainless-custom-poll-interval, "
    "x-stainless-helper-method, x-stainless-lang, x-stainless-os, x-stainless-package-version, "
    "x-stainless-poll-helper, x-stainless-retry-count, x-stainless-runtime, "
    "x-stainless-runtime-version, x-stainless-timeout"
)
_ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
# Seconds for which a browser may remember a preflight; Ollama's own value, 12 hours.
_MAX_AGE_SECONDS = "43200"


class AllowedOrigins:
    """Decides about the ``Origin`` header of web pages."""

    def __init__(self, extra: Iterable[str]) -> None:
        patterns = [*_APP_ORIGINS, *extra]
        self._everyone = "*" in patterns
        self._pattern = re.compile(
            "|".join([_LOCAL_ORIGIN, *(_wildcard(p) for p in patterns)]), re.IGNORECASE
        )

    def allows(self, origin: str, *, host: str) -> bool:
        """Tell whether a page of this origin may call the server that it names ``host``."""
        if self._everyone or self._pattern.fullmatch(origin) is not None:
            return True
        # A page that came from here, by whatever name; which names may be is for `AllowedHosts`.
        return bool(host) and origin.lower() in (
            f"http://{host}".lower(),
            f"https://{host}".lower(),
        )

    def headers(self, origin: str) -> dict[str, str]:
        """Give the headers by which a browser lets an allowed page read the answer."""
        return {"Access-Control-Allow-Origin": "*" if self._everyone else origin, "Vary": "Origin"}

    def preflight_headers(self, origin: str) -> dict[str, str]:
        """Give the headers that answer a preflight."""
        return self.headers(origin) | {
            "Access-Control-Allow-Methods": _ALLOWED_METHODS,
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": _MAX_AGE_SECONDS,
        }


def _wildcard(pattern: str) -> str:
    return ".*".join(re.escape(part) for part in pattern.split("*"))


class AllowedHosts:
    """Decides about the ``Host`` header, the guard against DNS rebinding.

    A page that made a browser resolve its own name to loopback would otherwise be answered.
    Bound to anything but loopback the proxy is meant to be called by any name.
    """

    def __init__(self, bind: BindAddress) -> None:
        self._checked = bind.host == "localhost" or _is_address(bind.host, loopback=True)
        self._names = frozenset({"", "localhost", socket.gethostname().lower()})
        # What nearly every request says, answered without taking it apart.
        self._usual = frozenset({f"{host}:{bind.port}" for host in ("localhost", "127.0.0.1")})

    def allows(self, header: str) -> bool:
        """Tell whether a request with this header may pass."""
        if not self._checked or header in self._usual:
            return True
        host = _host_of(header)
        if host in self._names or host.endswith(_LOCAL_SUFFIXES):
            return True
        return _is_address(host, loopback=False)


def _host_of(header: str) -> str:
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    if host.count(":") == 1:
        host = host.partition(":")[0]
    return host.rstrip(".")


def _is_address(host: str, *, loopback: bool) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback if loopback else address.is_private
