"""What is wrong with the settings on this machine: pure checks of facts that are passed in.

``infra.settings.checks`` judges the settings alone. What is judged here depends on where the
program runs: its environment, its files, and the Docker Engine that it finds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from infra import urls
from infra.docker_endpoint import DockerEndpoint
from infra.docker_probe import DockerProbe
from infra.http_proxies import proxy_variable
from infra.settings.reachability import remote_docker
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, ServiceMode


@dataclass(frozen=True)
class Surroundings:
    """Where the program runs.

    Attributes:
        docker: The Docker Engine that the stack uses.
        probe: What that engine says.
        machine: This machine's host name.
        environ: The operator's environment.
        is_folder: Tells whether a path is a folder on this machine.
    """

    docker: DockerEndpoint
    probe: DockerProbe
    machine: str
    environ: Mapping[str, str]
    is_folder: Callable[[str], bool]


def misfits(settings: Settings, here: Surroundings) -> list[str]:
    """Return a sentence for everything that can't work on this machine, with its remedy."""
    return [*_docker(settings, here), *_model_folder(settings, here), *_grafana(settings, here)]


def _docker(settings: Settings, here: Surroundings) -> Iterator[str]:
    docker = here.docker
    # Without a host, the provider tries more than one socket.
    if docker.host and here.probe.fault is not None:
        yield (
            f"dockerHost: Docker can't be reached at {docker.host} ({docker.origin}): "
            f"{here.probe.fault}. Start it, choose another with `docker context use`, or set "
            "dockerHost"
        )
    if not settings.docker_host:
        yield from remote_docker(settings, docker.host, docker.origin)


def _model_folder(settings: Settings, here: Surroundings) -> Iterator[str]:
    """Report a missing folder if the Docker host is this machine.

    On another one, or in a virtual machine as on a Mac, paths can differ: there Docker reports it
    when it creates the container.
    """
    is_folder = PurePosixPath(settings.model).is_absolute()
    if settings.engine is EngineMode.EXTERNAL or not is_folder:
        return
    if here.probe.machine == here.machine and not here.is_folder(settings.model):
        yield (
            f"model: there is no folder {settings.model} on the Docker host, which is this "
            "machine; correct the path, or set model to a Hugging Face id"
        )


def _grafana(settings: Settings, here: Surroundings) -> Iterator[str]:
    """Report that Pulumi's provider would send the stack's Grafana password to an HTTP proxy."""
    if settings.grafana is not ServiceMode.MANAGED:
        return
    variable = proxy_variable(urls.grafana_url(settings), here.environ)
    if variable is not None:
        yield (
            f"advertisedHost: {variable} would get the requests for this stack's Grafana at "
            f"{settings.host}, with its password; add {settings.host} to NO_PROXY"
        )
