"""Addresses of the settings that would not lead from one part of the stack to another."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from infra.hosts import is_loopback, on_docker_host
from infra.settings.schema import Settings
from infra.settings.values import EngineMode, ServiceMode


def unreachable(settings: Settings) -> Iterator[str]:
    """Find addresses that mean one machine to the user and another to whoever is given them.

    In a container, loopback is the container itself.
    """
    if settings.engine is EngineMode.EXTERNAL and _is_local(settings.mistral_url):
        yield (
            "mistralUrl: loopback leads the proxy's container to itself; a server on the Docker "
            f"host is {on_docker_host(settings.mistral_url)}"
        )
    is_told = settings.advertised_host or not is_loopback(settings.host)
    if _is_remote(settings.docker_host) and not is_told:
        yield (
            f"advertisedHost: dockerHost is another machine, and URLs on {settings.host} would "
            "lead to this one; set it to that machine's name, and bindAddress to its address, or "
            "set it to 127.0.0.1 where you forward the ports"
        )
    managed = settings.grafana is ServiceMode.MANAGED
    yield from _inner_datasource(settings) if managed else _outer_datasource(settings)


def _inner_datasource(settings: Settings) -> Iterator[str]:
    if _is_local(settings.datasource_url):
        name, url = "datasourceUrl", settings.datasource_url
    elif settings.prometheus is ServiceMode.EXTERNAL and not settings.datasource_url:
        name, url = "prometheusUrl", settings.prometheus_url
    else:
        return
    if _is_local(url):
        yield (
            f"{name}: loopback leads Grafana's container to itself; for a Prometheus on the "
            f"Docker host set datasourceUrl to {on_docker_host(url)}"
        )


def _outer_datasource(settings: Settings) -> Iterator[str]:
    grafana_is_elsewhere = settings.grafana_url and not _is_local(settings.grafana_url)
    if settings.datasource_url or not grafana_is_elsewhere:
        return
    if settings.prometheus is ServiceMode.EXTERNAL:
        hidden = _is_local(settings.prometheus_url)
    else:
        hidden = is_loopback(settings.bind_address) or is_loopback(settings.host)
    if hidden:
        yield (
            "datasourceUrl: Prometheus is on this machine's loopback, where a Grafana elsewhere "
            "does not reach it; set bindAddress and advertisedHost to what it reaches, or "
            "datasourceUrl to a way of your own"
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
