"""The stack's services and volumes: container names, network aliases, ports and paths.

Plain data that needs only the standard library: the Pulumi program, the operator commands and the
tests take the names from here. Default ports of our own services come from those services.
"""

from dataclasses import dataclass

from embedded_engine.settings import DEFAULT_PORT as ENGINE_PORT
from proxy_service.settings.values import DEFAULT_PORT as PROXY_PORT

# Name of the Pulumi project, and the first word of every name in Docker.
PROJECT = "frontier"

# The stack whose names in Docker have no suffix.
DEFAULT_STACK = "dev"

# Label of everything that a stack creates in Docker and may remove again; its value is the stack.
STACK_LABEL = f"{PROJECT}.stack"


@dataclass(frozen=True)
class Member:
    """One service on the stack's network.

    Attributes:
        container: Container name in the default stack.
        alias: Host name at which the others reach it; the same in every stack.
        port: TCP port inside the network; also the default port on the host.
        health_path: Returns 200 while the service is healthy.
        ready_path: Returns 200 while the service can do its work.
    """

    container: str
    alias: str
    port: int
    health_path: str
    ready_path: str

    @property
    def files_container(self) -> str:
        """Name of the container that holds its files, in the default stack."""
        return f"{self.container}-files"

    @property
    def target(self) -> str:
        """``alias:port``, as Prometheus writes a scrape target."""
        return f"{self.alias}:{self.port}"

    @property
    def url(self) -> str:
        """Base URL inside the network."""
        return f"http://{self.target}"


ENGINE = Member("frontier-mistral", "mistral", ENGINE_PORT, "/health", "/health")
PROXY = Member(
    "frontier-mistral-ollama-proxy",
    "frontier-mistral-ollama-proxy",
    PROXY_PORT,
    "/livez",
    "/readyz",
)
PROMETHEUS = Member("frontier-prometheus", "prometheus", 9090, "/-/healthy", "/-/ready")
GRAFANA = Member("frontier-grafana", "grafana", 3000, "/api/health", "/api/health")

# Every service, by the name that operators use.
MEMBERS = {"engine": ENGINE, "proxy": PROXY, "prometheus": PROMETHEUS, "grafana": GRAFANA}

# Grafana's administrator.
GRAFANA_USER = "admin"

NETWORK = "frontier"
MODEL_CACHE_VOLUME = "frontier-model-cache"
# Not the other engine's volume: each engine lays its models out in its own way.
EMBEDDED_CACHE_VOLUME = "frontier-embedded-cache"
PROMETHEUS_VOLUME = "frontier-prometheus-data"
GRAFANA_VOLUME = "frontier-grafana-data"

# Folder of the rules inside Prometheus' container.
RULES_FOLDER = "/etc/prometheus/rules"


def physical_name(name: str, stack: str) -> str:
    """Return Docker's name for ``name`` in ``stack``; two stacks on one host never share one."""
    return name if stack == DEFAULT_STACK else f"{name}-{stack}"
