"""What a URL's host means inside a container: the container itself, or the Docker host."""

from urllib.parse import urlsplit

from proxy_service.settings.values import BindAddress

# Name of the Docker host inside containers; the stack defines it where Docker itself does not.
DOCKER_HOST = "host.docker.internal"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means the machine or container that uses it."""
    return BindAddress(host, port=0).is_loopback


def is_on_docker_host(url: str) -> bool:
    """Return whether a URL leads from a container to the Docker host."""
    return urlsplit(url).hostname == DOCKER_HOST


def on_docker_host(url: str) -> str:
    """Return a URL on the Docker host's loopback as its containers must write it."""
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2].rpartition("]")[2]
    _, colon, port = address.partition(":")
    return parts._replace(netloc=f"{DOCKER_HOST}{colon}{port}").geturl()
