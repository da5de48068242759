"""What the host in a URL means to the stack: this machine or container, or the Docker host."""

import ipaddress
from urllib.parse import urlsplit

DOCKER_HOST = "host.docker.internal"
"""Name of the Docker host inside containers: Docker Desktop's own, elsewhere given by the stack."""


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means the machine, or container, that uses it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_on_docker_host(url: str) -> bool:
    """Return whether a URL leads from a container to the Docker host."""
    return urlsplit(url).hostname == DOCKER_HOST


def on_docker_host(url: str) -> str:
    """Return a URL of this machine's loopback as containers on this machine must write it."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2].rpartition("]")[2]
    _, colon, port = address.partition(":")
    return parts._replace(netloc=f"{DOCKER_HOST}{colon}{port}").geturl()
