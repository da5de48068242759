"""Where the drill must listen so that Grafana, usually in a container, can connect to it."""

import errno
import socket
from dataclasses import dataclass

from infra.docker_host import DOCKER_HOST
from ops.clients.docker import DockerEngine
from ops.processes.ports import LOOPBACK
from ops.terminal.console import OperatorError


@dataclass(frozen=True)
class Address:
    """An address of this machine, and the host name or address that Grafana uses for it.

    Attributes:
        listen: Address to listen on.
        advertised: Host in the URLs that Grafana gets.
    """

    listen: str
    advertised: str

    def url(self, port: int, path: str = "") -> str:
        """Return a URL that Grafana can use."""
        return f"http://{self.advertised}:{port}{path}"


def find_address(docker: DockerEngine, container: str, given: str | None) -> Address:
    """Find an address of this machine that Grafana can connect to.

    Args:
        docker: The Docker Engine that runs Grafana's container, if there is one.
        container: Name of the container.
        given: Address from the operator; None to find one.

    Raises:
        OperatorError: ``given`` isn't an address of this machine.
    """
    if given is not None:
        if not _is_local(given):
            raise OperatorError(
                f"--reach {given} isn't an address of this machine; give one that Grafana reaches"
            )
        return Address(given, given)
    gateway = _gateway(docker, container)
    if gateway is None:
        return Address(LOOPBACK, LOOPBACK)
    # On Linux the network's gateway is this machine. Docker Desktop's is in its virtual machine,
    # where the host's name leads to the host's loopback address.
    return Address(gateway, gateway) if _is_local(gateway) else Address(LOOPBACK, DOCKER_HOST)


def _gateway(docker: DockerEngine, container: str) -> str | None:
    """Return the gateway of a container's network; None without a container or without Docker."""
    if docker.runner.which("docker") is None:
        return None
    template = "{{range .NetworkSettings.Networks}}{{println .Gateway}}{{end}}"
    shown = docker.run("container", "inspect", "--format", template, container)
    return next(iter(shown.stdout.split()), None) if shown.ok else None


def _is_local(address: str) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
                return False
            raise
    return True
