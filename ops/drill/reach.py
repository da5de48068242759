"""Where the drill must listen so that Grafana, mostly in a container, reaches it."""

import errno
import socket
from dataclasses import dataclass
from typing import Final

from ops.services.docker_engine import DockerEngine
from ops.system.console import OperatorError
from ops.system.ports import LOOPBACK

#: Docker Desktop's name of the host; leads to services on the host's loopback.
DESKTOP_HOST: Final = "host.docker.internal"


@dataclass(frozen=True)
class Reach:
    """An address of this machine and the name that Grafana has for it."""

    address: str
    name: str

    def url(self, port: int, path: str = "") -> str:
        """Give a URL as Grafana uses it."""
        return f"http://{self.name}:{port}{path}"


def reach_of(docker: DockerEngine, container: str, given: str | None) -> Reach:
    """Find the address.

    Args:
        docker: Where Grafana's container runs, if it has one.
        container: Its name.
        given: The operator's own answer; None to find one.

    Raises:
        OperatorError: ``given`` is no address of this machine.
    """
    if given is not None:
        if not _is_ours(given):
            raise OperatorError(f"--reach {given} is no address of this machine")
        return Reach(given, given)
    gateway = _gateway(docker, container)
    if gateway is None:
        return Reach(LOOPBACK, LOOPBACK)
    # On Linux the network's gateway is this machine; Docker Desktop keeps it in its own.
    return Reach(gateway, gateway) if _is_ours(gateway) else Reach(LOOPBACK, DESKTOP_HOST)


def _gateway(docker: DockerEngine, container: str) -> str | None:
    """Give the gateway of a container's network; None without a container, or without Docker."""
    if docker.runner.which("docker") is None:
        return None
    template = "{{range .NetworkSettings.Networks}}{{println .Gateway}}{{end}}"
    shown = docker.run("container", "inspect", "--format", template, container)
    return next(iter(shown.stdout.split()), None) if shown.ok else None


def _is_ours(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
                return False
            raise
    return True
