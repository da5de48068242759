"""Where the services are: a running demo, a stack's outputs, or the default ports on loopback."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from infra.topology import ENGINE, PROMETHEUS, PROXY
from ops.demo.urls import DemoUrls
from ops.services.proxy_api import ProxyApi
from ops.system.ports import LOOPBACK
from proxy_service.settings import parse_keys


@dataclass(frozen=True)
class Targets:
    """The services to check.

    Attributes:
        origin: How they were found, for the operator.
        proxy: Base URL of the proxy.
        engine: Base URL of the engine; None where it is not published.
        prometheus: Base URL of Prometheus; None where there is none.
        grafana: Base URL of Grafana; None where there is none.
        grafana_user: Grafana's user.
        grafana_password: The user's password; None when it is not known.
        api_key: What the proxy asks for; None for nothing.
        metrics_key: What it asks for at its metrics; None for the same.
    """

    origin: str
    proxy: str
    engine: str | None = None
    prometheus: str | None = None
    grafana: str | None = None
    grafana_user: str = "admin"
    grafana_password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    metrics_key: str | None = field(default=None, repr=False)

    @property
    def proxy_api(self) -> ProxyApi:
        """The proxy with its keys."""
        return ProxyApi(self.proxy, self.api_key, self.metrics_key)

    def overridden(self, given: Mapping[str, str | None]) -> "Targets":
        """Replace what was given; an empty text says that there is no such service."""
        changes = {name: value or None for name, value in given.items() if value is not None}
        return replace(self, **changes) if changes else self  # type: ignore[arg-type]  # names and values are the fields'


def default_targets() -> Targets:
    """Return what the default ports on loopback hold when nothing was moved."""
    return Targets(
        origin="the default ports on this machine",
        proxy=f"http://{LOOPBACK}:{PROXY.port}",
        engine=f"http://{LOOPBACK}:{ENGINE.port}",
        prometheus=f"http://{LOOPBACK}:{PROMETHEUS.port}",
    )


def demo_targets(urls: DemoUrls) -> Targets:
    """Return the services of a running demo."""
    return Targets("the running demo", urls.proxy, urls.engine, urls.prometheus)


def stack_targets(stack: str, outputs: Mapping[str, str]) -> Targets:
    """Return the services of a stack from its outputs, secrets shown."""
    keys = outputs.get("apiKey")
    return Targets(
        origin=f"stack {stack}",
        proxy=outputs["proxyUrl"],
        prometheus=outputs.get("prometheusUrl") or None,
        grafana=outputs.get("grafanaUrl") or None,
        grafana_user=outputs.get("grafanaUser") or "admin",
        grafana_password=outputs.get("grafanaAdminPassword") or None,
        api_key=parse_keys(keys)[0] if keys else None,
        metrics_key=outputs.get("metricsKey") or None,
    )


def links(targets: Targets, dashboard_uid: str) -> dict[str, str]:
    """Return what to open in a browser, by title."""
    shown = {"Metrics": f"{targets.proxy}/metrics"}
    if targets.prometheus:
        shown["Prometheus targets"] = f"{targets.prometheus}/targets"
        shown["Prometheus alerts"] = f"{targets.prometheus}/alerts"
    if targets.grafana:
        shown["Grafana dashboard"] = f"{targets.grafana}/d/{dashboard_uid}"
    return shown
