"""The ports that the demo listens on, all on loopback."""

from collections.abc import Mapping
from dataclasses import dataclass

from infra.topology import ENGINE, PROMETHEUS, PROXY
from ops.processes.ports import LOOPBACK, Port, read_port
from ops.running.demo import DemoUrls


@dataclass(frozen=True)
class DemoPorts:
    """One port for each service."""

    engine: Port
    proxy: Port
    prometheus: Port

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "DemoPorts":
        """Read ENGINE_PORT, PROXY_PORT, PROMETHEUS_PORT. Raises OperatorError on an invalid one."""
        return cls(
            engine=read_port("the engine", "ENGINE_PORT", environ, ENGINE.port),
            proxy=read_port("the proxy", "PROXY_PORT", environ, PROXY.port),
            prometheus=read_port("Prometheus", "PROMETHEUS_PORT", environ, PROMETHEUS.port),
        )

    @property
    def all(self) -> list[Port]:
        """All three."""
        return [self.engine, self.proxy, self.prometheus]

    def urls(self, *, with_prometheus: bool) -> DemoUrls:
        """Return the services' base URLs."""
        return DemoUrls(
            engine=f"http://{address_of(self.engine)}",
            proxy=f"http://{address_of(self.proxy)}",
            prometheus=f"http://{address_of(self.prometheus)}" if with_prometheus else None,
        )


def address_of(port: Port) -> str:
    """Return ``host:port``."""
    return f"{LOOPBACK}:{port.number}"
