"""How builds and containers reach the internet: HTTP proxy, package index, additional CAs.

Docker's API, unlike its CLI, passes nothing of the operator's environment on. What a build or a
container gets is therefore written in the settings.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from infra.docker_host import DOCKER_HOST, is_on_docker_host
from infra.http_proxies import LOOPBACK_NAMES
from infra.settings.schema import Settings
from infra.settings.types import Secret
from infra.topology import MEMBERS

# Where Docker takes the addresses of its networks from unless its daemon is told otherwise.
_DOCKER_NETWORKS = ("172.16.0.0/12", "192.168.0.0/16")

# Where an image that is built here has its own CAs together with the additional ones.
IMAGE_CA_FILE = "/app/ca-certificates.pem"


@dataclass(frozen=True)
class Egress:
    """The way to the internet.

    Attributes:
        proxies: The variables that name HTTP proxies, and the hosts reached without them; empty
            for direct connections. The URLs can hold passwords.
        index: The variables that name pip's package index; empty for the public one.
        ca_certificates: Additional CAs, as PEM text; empty for none.
        leads_to_docker_host: Whether one of the servers is on the Docker host itself.
    """

    proxies: Mapping[str, Secret]
    index: Mapping[str, Secret]
    ca_certificates: str
    leads_to_docker_host: bool


def egress(settings: Settings, ca_certificates: str) -> Egress:
    """Return the way to the internet that the settings describe."""
    proxies = {"HTTP_PROXY": settings.http_proxy, "HTTPS_PROXY": settings.https_proxy}
    servers = [*proxies.values(), settings.pip_index_url]
    return Egress(
        proxies=_with_exemptions({name: url for name, url in proxies.items() if url}, settings),
        index=_index(settings.pip_index_url),
        ca_certificates=ca_certificates,
        leads_to_docker_host=any(is_on_docker_host(server.value) for server in servers),
    )


def shell_exports(variables: Mapping[str, Secret]) -> Secret:
    """Return a shell script that exports variables."""
    lines = [f"export {name}={shlex.quote(secret.value)}\n" for name, secret in variables.items()]
    return Secret("".join(lines))


def _with_exemptions(proxies: Mapping[str, Secret], settings: Settings) -> dict[str, Secret]:
    if not proxies:
        return {}
    return {**proxies, "NO_PROXY": Secret(",".join(_direct_hosts(settings.no_proxy_hosts)))}


def _direct_hosts(own: Iterable[str]) -> list[str]:
    """Return the hosts that are never reached through an HTTP proxy."""
    aliases = [member.alias for member in MEMBERS.values()]
    return [*LOOPBACK_NAMES, DOCKER_HOST, *_DOCKER_NETWORKS, *aliases, *own]


def _index(url: Secret) -> dict[str, Secret]:
    if not url:
        return {}
    parts = urlsplit(url.value)
    # pip refuses an index without TLS unless it is told to trust it. Hashes protect what it serves.
    trusted = {"PIP_TRUSTED_HOST": Secret(parts.hostname or "")} if parts.scheme == "http" else {}
    return {"PIP_INDEX_URL": url, **trusted}
