"""What is wrong with the settings on this machine: pure checks of facts that are passed in.

``infra.settings.checks`` judges the settings alone. What is judged here depends on where the
program runs: its environment, its files, and the Docker Engine that it finds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from infra import urls
from infra.certificate_authorities import check_authorities
from infra.docker_endpoint import DockerEndpoint
from infra.docker_probe import DockerProbe
from infra.http_proxies import PROXY_VARIABLES, proxy_variable
from infra.settings.reachability import remote_docker
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, ServiceMode

_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_PRIVATE_KEY = "PRIVATE KEY-----"

# Builds get the certificates as an argument, and Linux takes at most 128 KiB in one.
_MAX_CA_BYTES = 64 * 1024


@dataclass(frozen=True)
class Surroundings:
    """Where the program runs.

    Attributes:
        docker: The Docker Engine that the stack uses.
        probe: What that engine says.
        machine: This machine's host name.
        environ: The operator's environment.
        exists: Tells whether a path exists on this machine.
        ca_certificates: Text of the settings' ``caFile``; None if it can't be read.
    """

    docker: DockerEndpoint
    probe: DockerProbe
    machine: str
    environ: Mapping[str, str]
    exists: Callable[[str], bool]
    ca_certificates: str | None = None


def misfits(settings: Settings, here: Surroundings) -> list[str]:
    """Return a sentence for everything that can't work on this machine, with its remedy."""
    checks = (_docker, _model_folder, _grafana, _ca_file)
    return [misfit for check in checks for misfit in check(settings, here)]


def hints(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return what the operator may have forgotten, but may also want as it is."""
    used = " and ".join(name for name in PROXY_VARIABLES if environ.get(name))
    if not used or settings.http_proxy or settings.https_proxy:
        return []
    hint = f"image builds and containers don't use this environment's {used}; if they need an HTTP"
    return [f"{hint} proxy, set httpProxy and httpsProxy"]


def _docker(settings: Settings, here: Surroundings) -> Iterator[str]:
    docker = here.docker
    # Without a host, the provider tries more than one socket.
    if docker.host and here.probe.fault is not None:
        yield (
            f"dockerHost: Docker can't be reached at {docker.host} ({docker.origin}): "
            f"{here.probe.fault}. Start it, or {docker.alternative}"
        )
    if not settings.docker_host:
        yield from remote_docker(settings, docker.host, docker.origin)


def _model_folder(settings: Settings, here: Surroundings) -> Iterator[str]:
    """Report a missing folder if the Docker host is this machine.

    On another one, or in a virtual machine as on a Mac, paths can differ: there Docker reports it
    when it creates the container.
    """
    if settings.engine is EngineMode.EXTERNAL or here.probe.machine != here.machine:
        return
    for model in settings.served_models:
        name = f"models: {model.name}" if model.name else "model"
        for path in model.host_paths.values():
            if not here.exists(path):
                yield (
                    f"{name}: there is no {path} on the Docker host, which is this machine; "
                    "correct the path, or use a Hugging Face id"
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


def _ca_file(settings: Settings, here: Surroundings) -> Iterator[str]:
    if not settings.ca_file:
        return
    text = here.ca_certificates
    if text is None:
        yield f"caFile: {settings.ca_file} can't be read as a text file on this machine"
    elif _PRIVATE_KEY in text:
        yield f"caFile: {settings.ca_file} holds a private key; name a file with certificates only"
    elif _CERTIFICATE not in text:
        yield f"caFile: {settings.ca_file} holds no certificate in PEM form ({_CERTIFICATE})"
    elif fault := _fault_of_authorities(text):
        yield f"caFile: {settings.ca_file} has a certificate that can't be read ({fault})"
    elif len(text) > _MAX_CA_BYTES:
        yield (
            f"caFile: {settings.ca_file} is longer than {_MAX_CA_BYTES // 1024} KiB; name a file "
            "with only the additional CAs, since the usual ones are trusted anyway"
        )


def _fault_of_authorities(text: str) -> str:
    try:
        check_authorities(text)
    except ValueError as error:
        return str(error)
    return ""
