"""Who may send requests: the Host check against DNS rebinding, web origins, and keys.

Source of the first two: Ollama's ``allowedHostsMiddleware`` and ``AllowedOrigins``.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping
from hashlib import sha256
from hmac import compare_digest

from proxy_service.clock import Clock
from proxy_service.server.senders import sender_of
from proxy_service.settings.values import BindAddress

# Any port, but nothing that only looks like one, such as "http://localhost:1.evil.example".
_LOCAL_ORIGIN = r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::[0-9]+)?"
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
# Pages of browsers' extensions aren't among them, as in Ollama: any extension could use the engine.
_APP_ORIGINS = (
    "app://*",
    "file://*",
    "tauri://*",
    "vscode-webview://*",
    "vscode-file://*",
)
_ALLOWED_HEADERS = (
    "Authorization, Content-Type, User-Agent, Accept, X-Requested-With, OpenAI-Beta, "
    "x-stainless-arch, x-stainless-async, x-stainless-custom-poll-interval, "
    "x-stainless-helper-method, x-stainless-lang, x-stainless-os, x-stainless-package-version, "
    "x-stainless-poll-helper, x-stainless-retry-count, x-stainless-runtime, "
    "x-stainless-runtime-version, x-stainless-timeout"
)
_ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
# Characters of an origin: a name has at most 253. Two wildcards in a pattern take quadratic time.
_MAX_ORIGIN = 1024
# Seconds for which a browser may remember a preflight; Ollama's own value, 12 hours.
_MAX_AGE_SECONDS = "43200"
# Wrong keys that an address may send at once: a client with an old key tries a few times.
WRONG_KEYS = 30
# Refusals of one address that wait at the same time; each of them holds a connection.
MOST_WAITING = 8
# Addresses that are remembered.
_ADDRESSES = 1024


class AllowedOrigins:
    """Checks the ``Origin`` header, which browsers send for web pages."""

    def __init__(self, extra: Iterable[str]) -> None:
        patterns = [*_APP_ORIGINS, *extra]
        self._everyone = "*" in patterns
        self._pattern = re.compile(
            "|".join([_LOCAL_ORIGIN, *(_wildcard(p) for p in patterns)]), re.IGNORECASE
        )

    def allows_site(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request without an ``Origin`` may be sent, by what browsers say of it.

        For images, scripts, frames and the like, a page's browser sends only ``Sec-Fetch-Site``.
        Following a link is allowed, because the page can't read what it opens.
        """
        if self._everyone or headers.get("sec-fetch-site") not in ("cross-site", "same-site"):
            return True
        return headers.get("sec-fetch-dest") == "document"

    def allows(self, origin: str, *, host: str) -> bool:
        """Return whether a page of this origin may send a request to ``host``."""
        if self._everyone:
            return True
        if len(origin) > _MAX_ORIGIN:
            return False
        if self._pattern.fullmatch(origin) is not None:
            return True
        # A page from this server, under any name; `AllowedHosts` checks the names.
        return bool(host) and origin.lower() in (
            f"http://{host}".lower(),
            f"https://{host}".lower(),
        )

    def headers(self, origin: str) -> dict[str, str]:
        """Return the headers that let an allowed page read the response."""
        return {"Access-Control-Allow-Origin": "*" if self._everyone else origin, "Vary": "Origin"}

    def preflight_headers(self, origin: str) -> dict[str, str]:
        """Return the headers of the response to a preflight."""
        return self.headers(origin) | {
            "Access-Control-Allow-Methods": _ALLOWED_METHODS,
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": _MAX_AGE_SECONDS,
        }


def _wildcard(pattern: str) -> str:
    return ".*".join(re.escape(part) for part in pattern.split("*"))


class AllowedHosts:
    """Checks the ``Host`` header, against DNS rebinding.

    Otherwise a web page could have its own name resolved to loopback and read responses. On other
    addresses than loopback the proxy accepts any name, unless its names are listed: in a container
    it can't see whether its port is published on loopback only.
    """

    def __init__(self, bind: BindAddress, listed: Iterable[str]) -> None:
        names = {name.lower() for name in listed}
        self._checked = "*" not in names and (bool(names) or bind.is_loopback)
        self._names = frozenset({"", "localhost", socket.gethostname().lower(), *names})
        # Nearly every request has one of these; comparing them needs no parsing.
        self._usual = frozenset({f"{host}:{bind.port}" for host in ("localhost", "127.0.0.1")})

    def allows(self, header: str) -> bool:
        """Return whether a request with this header is allowed."""
        if not self._checked or header in self._usual:
            return True
        host = _host_of(header)
        if host in self._names or host.endswith(_LOCAL_SUFFIXES):
            return True
        return _is_private(host)


class Keys:
    """Checks the key of a request.

    It compares digests, and always all of them, so that timing reveals nothing about a key.
    """

    def __init__(
        self,
        *,
        api: Iterable[str],
        metrics: Iterable[str],
        open_paths: Iterable[str],
        metrics_paths: Iterable[str],
    ) -> None:
        self._api = [_digest(key) for key in api]
        self._metrics = [*self._api, *(_digest(key) for key in metrics)]
        self._open_paths = frozenset(open_paths)
        self._metrics_paths = frozenset(metrics_paths)

    def allows(self, path: str, headers: Mapping[str, str]) -> bool:
        """Return whether a request for this path with these headers is allowed."""
        if not self._metrics:
            return True
        path = path.rstrip("/") or "/"
        accepted = self._metrics if path in self._metrics_paths else self._api
        if not accepted or path in self._open_paths:
            return True
        sent = _digest(key_in(headers))
        return sum(compare_digest(sent, key) for key in accepted) > 0


class WrongKeys:
    """Slows down the addresses that send many wrong keys.

    Only the refusals wait, so that clients with a key that share the address aren't affected.
    """

    __slots__ = ("_clock", "_free_at")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # When each sender has used up nothing any more; the one that was seen last is last.
        self._free_at: dict[str, float] = {}

    def wait_seconds(self, address: str) -> float | None:
        """Count a wrong key; return how long its refusal waits, None if too many wait already.

        An address may send `WRONG_KEYS` at once and then one in each second.
        """
        now = self._clock.monotonic()
        sender = sender_of(address)
        free_at = max(self._free_at.pop(sender, now), now)
        wait = free_at + 1 - now - WRONG_KEYS
        if wait <= MOST_WAITING:
            free_at += 1
        self._free_at[sender] = free_at
        if len(self._free_at) > _ADDRESSES:
            del self._free_at[next(iter(self._free_at))]
        return max(wait, 0.0) if wait <= MOST_WAITING else None


def key_in(headers: Mapping[str, str]) -> str:
    """Return the key, sent as OpenAI's and Ollama's clients do or as Anthropic's do."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")


def _digest(key: str) -> bytes:
    return sha256(key.encode()).digest()


def _host_of(header: str) -> str:
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    if host.count(":") == 1:
        host = host.partition(":")[0]
    return host.rstrip(".")


def _is_private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False
