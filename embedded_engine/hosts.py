"""Which host names requests may use: the check against DNS rebinding.

Without it, a web page could have its own name resolved to this machine and use a server that
listens on loopback only. The proxy has the same rule, because neither of the two images contains
the other's package.
"""

import ipaddress
import re
import socket

# Names that no public DNS server resolves, so that no foreign page can have one.
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal")
_WITH_PORT = re.compile(r"(?:\[(?P<address>.*)\]|(?P<name>[^:]*))(?::[0-9]*)?")


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches a server that listens on an address or name."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def is_local(header: str) -> bool:
    """Return whether a ``Host`` header has an address or a local name; a missing one is empty."""
    parts = _WITH_PORT.fullmatch(header.strip().lower())
    if parts is None:
        return False
    host = (parts["address"] or parts["name"] or "").rstrip(".")
    own = ("", "localhost", socket.gethostname().lower())
    return host in own or host.endswith(_LOCAL_SUFFIXES) or _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
