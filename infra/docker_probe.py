"""Ask the Docker Engine whether it is there and on which machine it runs, before Pulumi does.

Pulumi's provider reports an engine that it can't reach without a word on where its address is from.
"""

import http.client
import json
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

# Where the docker CLI finds the engine when nothing else is chosen; Windows has a pipe instead.
DEFAULT_SOCKET = "unix:///var/run/docker.sock"

_TIMEOUT_SECONDS = 10.0
# Port of Docker's API where the URL has none.
_PORT = 2375


@dataclass(frozen=True)
class DockerProbe:
    """What is known of an engine.

    Attributes:
        fault: Why it can't be reached; None if it can, or if that is not known.
        machine: Host name of the machine that it runs on; None if that is not known.
    """

    fault: str | None = None
    machine: str | None = None


def probe_docker(host: str) -> DockerProbe:
    """Ask the engine at a URL; sockets and TCP addresses only, others are taken as they are."""
    parts = urlsplit(host)
    try:
        if parts.scheme == "unix":
            return DockerProbe(machine=_machine(parts.path))
        if parts.scheme == "tcp":
            address = (parts.hostname or "", parts.port or _PORT)
            socket.create_connection(address, _TIMEOUT_SECONDS).close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return DockerProbe(fault=str(error))
    return DockerProbe()


def _machine(path: str) -> str | None:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", "/info")
        reply = connection.getresponse()
        described = json.loads(reply.read())
    finally:
        connection.close()
    name = described.get("Name") if isinstance(described, dict) else None
    return name if isinstance(name, str) else None


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
