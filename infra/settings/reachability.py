"""Which addresses in the settings don't lead from one part of the stack to another."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from infra.docker_host import is_loopback, on_docker_host
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, ServiceMode


def unreachable(settings: Settings) -> Iterator[str]:
    """Report addresses that mean one machine to the user and another to the part that uses them.

    In a container, loopback is the container itself.
    """
    if settings.engine is EngineMode.EXTERNAL and _is_local(settings.mistral_url):
        yield (
            "mistralUrl: loopback in the proxy's container is the container itself; for a server "
            f"on the Docker host use {on_docker_host(settings.mistral_url)}"
        )
    yield from remote_docker(settings, settings.docker_host, "dockerHost")
    managed = settings.grafana is ServiceMode.MANAGED
    yield from _managed_grafana(settings) if managed else _external_grafana(settings)


def remote_docker(settings: Settings, docker_host: str, origin: str) -> Iterator[str]:
    """Report published ports that are on another machine than their URLs.

    Args:
        settings: The settings.
        docker_host: URL of the Docker Engine.
        origin: What names it, for the message.
    """
    leads_here = is_loopback(settings.host) and not settings.advertised_host
    if _is_remote(docker_host) and leads_here:
        yield (
            f"advertisedHost: {origin} is another machine, but URLs with {settings.host} lead to "
            "this one; set advertisedHost to that machine's name and bindAddress to its address, "
            "or set advertisedHost to 127.0.0.1 if you forward the ports"
        )
    hidden_by_default = settings.prometheus_is_hidden and not settings.prometheus_bind_address
    if _is_remote(docker_host) and hidden_by_default:
        yield (
            f"prometheusBindAddress: {origin} is another machine, and Prometheus would be "
            "published on its loopback address only; set prometheusBindAddress to the address "
            f"that this machine reaches, or to {settings.prometheus_address} if you forward the "
            "port"
        )


def _managed_grafana(settings: Settings) -> Iterator[str]:
    if _is_local(settings.datasource_url):
        name, url = "datasourceUrl", settings.datasource_url
    elif settings.prometheus is ServiceMode.EXTERNAL and not settings.datasource_url:
        name, url = "prometheusUrl", settings.prometheus_url
    else:
        return
    if _is_local(url):
        yield (
            f"{name}: loopback in Grafana's container is the container itself; for a Prometheus "
            f"on the Docker host set datasourceUrl to {on_docker_host(url)}"
        )


def _external_grafana(settings: Settings) -> Iterator[str]:
    grafana_is_elsewhere = settings.grafana_url and not _is_local(settings.grafana_url)
    if settings.datasource_url or settings.datasource_uid or not grafana_is_elsewhere:
        return
    if settings.prometheus is ServiceMode.EXTERNAL:
        hidden = _is_local(settings.prometheus_url)
    else:
        hidden = is_loopback(settings.prometheus_address) or is_loopback(settings.prometheus_host)
    if hidden:
        yield (
            "datasourceUrl: Prometheus is on this machine's loopback, where a Grafana on another "
            "machine can't reach it; set prometheusBindAddress and advertisedHost to this "
            "machine's address for Grafana, or datasourceUrl to a URL that leads to Prometheus"
        )


def _is_local(url: str) -> bool:
    return is_loopback(_host(url))


def _is_remote(docker_host: str) -> bool:
    return docker_host.startswith(("ssh://", "tcp://")) and not _is_local(docker_host)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
