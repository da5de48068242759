"""Which requests go through an HTTP proxy of the environment: pure rules, and an opener.

The rules are those of Go's ``golang.org/x/net/http/httpproxy``, so that a request made here takes
the same way as one of Pulumi's Grafana provider. Python's own differ where it matters most: they
send requests for loopback addresses to the proxy too, with the passwords in them.
"""

import ipaddress
import ssl
import urllib.request
from collections.abc import Mapping
from http.client import HTTPMessage
from typing import IO
from urllib.parse import SplitResult, urlsplit

# Variables with the hosts that are reached directly; the first one that is set counts.
NO_PROXY_VARIABLES = ("NO_PROXY", "no_proxy")

# How loopback is written in a list of hosts.
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

# Variables that name an HTTP proxy.
PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")

_DEFAULT_PORTS = {"http": 80, "https": 443}


def proxy_variable(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the variable whose HTTP proxy gets requests for a URL; None if they go directly."""
    parts = urlsplit(url)
    names = (f"{parts.scheme}_PROXY".upper(), f"{parts.scheme}_proxy")
    variable = _first_set(names, environ)
    return None if variable is None or _is_direct(parts, environ) else variable


def opener(
    url: str, environ: Mapping[str, str], trusting: ssl.SSLContext | None = None
) -> urllib.request.OpenerDirector:
    """Return what opens a URL: directly, or through the HTTP proxy that the environment names.

    Args:
        url: The URL.
        environ: The environment.
        trusting: Which certificate authorities count; None for the system's.
    """
    variable = proxy_variable(url, environ)
    proxies = {} if variable is None else {urlsplit(url).scheme: environ[variable]}
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.ProxyHandler(proxies),
        _KeepingLogins(),
    ]
    if trusting is not None:
        handlers.append(urllib.request.HTTPSHandler(context=trusting))
    return urllib.request.build_opener(*handlers)


class _KeepingLogins(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but sends the login only to the host that it is for."""

    def redirect_request(  # noqa: PLR0913, PLR0917 - as in the base class
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request to the new place."""
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and urlsplit(newurl).hostname != urlsplit(req.full_url).hostname:
            request.remove_header("Authorization")
        return request


def loopback_exemption(environ: Mapping[str, str]) -> dict[str, str]:
    """Return variables that let a program reach loopback in spite of the environment's HTTP proxy.

    Pulumi runs the program as a process of its own and talks to it by gRPC on loopback. gRPC for
    Python uses ``http_proxy`` and ``https_proxy`` for that too, and obeys ``no_proxy`` in lower
    case only. Both cases get the same hosts.
    """
    if not any(environ.get(name) for name in PROXY_VARIABLES):
        return {}
    variable = _first_set(NO_PROXY_VARIABLES, environ)
    hosts = ",".join(([environ[variable]] if variable else []) + list(LOOPBACK_NAMES))
    return dict.fromkeys(NO_PROXY_VARIABLES, hosts)


def _first_set(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((name for name in names if environ.get(name)), None)


def _is_direct(parts: SplitResult, environ: Mapping[str, str]) -> bool:
    host = (parts.hostname or "").lower()
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    variable = _first_set(NO_PROXY_VARIABLES, environ)
    entries = environ[variable].split(",") if variable else []
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    return any(_covers(entry.strip().lower(), host, port) for entry in entries)


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Return whether an entry of ``NO_PROXY`` means a host and port."""
    if entry == "*":
        return True
    address = _address(host)
    if "/" in entry:
        return address is not None and _is_in_network(address, entry)
    name, entry_port = _split_port(entry)
    if not name or entry_port not in (None, port):
        return False
    if _address(name) is not None:
        return _address(name) == address
    domain = name.removeprefix("*").removeprefix(".")
    return host.endswith(f".{domain}") or host == name


def _split_port(entry: str) -> tuple[str, int | None]:
    host, colon, port = entry.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return entry.strip("[]"), None


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_in_network(address: _Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
