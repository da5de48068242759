"""Addresses of the settings that would not lead from one part of the stack to another."""

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from infra.choices import EngineMode, ServiceMode

if TYPE_CHECKING:
    from infra.settings import Settings


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means the machine, or container, that uses it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unreachable(settings: "Settings") -> Iterator[str]:
    """Find addresses that mean one machine to the user and another to whoever is given them.

    In a container, loopback is the container itself.
    """
    if settings.engine is EngineMode.EXTERNAL and _is_local(settings.mistral_url):
        yield (
            "mistralUrl: loopback leads the proxy's container to itself; a server on the Docker "
            f"host is {_on_docker_host(settings.mistral_url)}"
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


def _inner_datasource(settings: "Settings") -> Iterator[str]:
    if _is_local(settings.datasource_url):
        name, url = "datasourceUrl", settings.datasource_url
    elif settings.prometheus is ServiceMode.EXTERNAL and not settings.datasource_url:
        name, url = "prometheusUrl", settings.prometheus_url
    else:
        return
    if _is_local(url):
        yield (
            f"{name}: loopback leads Grafana's container to itself; for a Prometheus on the "
            f"Docker host set datasourceUrl to {_on_docker_host(url)}"
        )


def _outer_datasource(settings: "Settings") -> Iterator[str]:
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


def _on_docker_host(url: str) -> str:
    """Write a URL that leads to this machine as the containers reach it."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2].rpartition("]")[2]
    _, colon, port = address.partition(":")
    return parts._replace(netloc=f"host.docker.internal{colon}{port}").geturl()
