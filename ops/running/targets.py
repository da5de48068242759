"""Where the services are: a running demo, a stack's outputs, or the default ports on loopback."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from infra.settings.types import GrafanaRules
from infra.topology import DEFAULT_STACK, ENGINE, GRAFANA_USER, PROMETHEUS, PROXY
from monitoring.names import DATASOURCE_UID
from ops.clients.prometheus import Prometheus
from ops.clients.proxy import ProxyApi
from ops.processes.ports import LOOPBACK
from ops.running.demo import DemoUrls, demo_folder, running_demo
from ops.running.stack import read_outputs
from proxy_service.settings.parsers import parse_keys


@dataclass(frozen=True)
class Targets:
    """The services that a command works on.

    Attributes:
        origin: How they were found, in words for the operator.
        proxy: Base URL of the proxy.
        engine: Base URL of the engine; None where it is not published.
        prometheus: Base URL of Prometheus; None where there is none.
        prometheus_authorization: Value of the ``Authorization`` header that it requires; empty for
            none.
        prometheus_ca_file: PEM file with the authority of its certificate; empty for the system's.
        grafana: Base URL of Grafana; None where there is none.
        grafana_user: Grafana's user.
        grafana_password: The user's password; None when it is not known.
        grafana_has_rules: Whether the alert rules are in Grafana, too.
        datasource_uid: Uid of Grafana's data source.
        api_key: Key that the proxy requires; None for none.
        metrics_key: Key that its metrics require; None for the same key.
    """

    origin: str
    proxy: str
    engine: str | None = None
    prometheus: str | None = None
    prometheus_authorization: str = field(default="", repr=False)
    prometheus_ca_file: str = ""
    grafana: str | None = None
    grafana_user: str = GRAFANA_USER
    grafana_password: str | None = field(default=None, repr=False)
    grafana_has_rules: bool = True
    datasource_uid: str = DATASOURCE_UID
    api_key: str | None = field(default=None, repr=False)
    metrics_key: str | None = field(default=None, repr=False)

    @property
    def proxy_api(self) -> ProxyApi:
        """The proxy with its keys."""
        return ProxyApi(self.proxy, self.api_key, self.metrics_key)

    @property
    def prometheus_api(self) -> Prometheus | None:
        """Prometheus with its login; None where there is none."""
        if self.prometheus is None:
            return None
        return Prometheus(self.prometheus, self.prometheus_authorization, self.prometheus_ca_file)

    def overridden(self, given: Mapping[str, str | None]) -> "Targets":
        """Replace the attributes that are not None; an empty text means there is no service."""
        changes = {name: value or None for name, value in given.items() if value is not None}
        if "prometheus" in changes:  # another server must not get this one's login
            changes |= {"prometheus_authorization": "", "prometheus_ca_file": ""}
        return replace(self, **changes) if changes else self  # type: ignore[arg-type]  # names and values are the fields'


def find_targets(stack: str | None) -> Targets:
    """Return what is running: a named stack, else the demo, else the default stack or ports.

    Args:
        stack: The stack to return, even while a demo runs; None for the first that is running.

    Raises:
        OperatorError: The named stack is not up.
    """
    demo = None if stack else running_demo(demo_folder(os.environ))
    if demo:
        return demo_targets(demo)
    outputs = read_outputs(stack)
    return stack_targets(stack or DEFAULT_STACK, outputs) if outputs else default_targets()


def demo_targets(urls: DemoUrls) -> Targets:
    """Return the services of a running demo."""
    return Targets("the running demo", urls.proxy, urls.engine, urls.prometheus)


def stack_targets(stack: str, outputs: Mapping[str, str]) -> Targets:
    """Return the services of a stack from its outputs with their secrets."""
    keys = outputs.get("apiKey")
    return Targets(
        origin=f"stack {stack}",
        proxy=outputs.get("proxyUrl", ""),
        prometheus=outputs.get("prometheusUrl") or None,
        prometheus_authorization=outputs.get("prometheusAuthorization", ""),
        prometheus_ca_file=outputs.get("prometheusCaFile", ""),
        grafana=outputs.get("grafanaUrl") or None,
        grafana_user=outputs.get("grafanaUser") or GRAFANA_USER,
        grafana_password=outputs.get("grafanaAdminPassword") or None,
        grafana_has_rules=outputs.get("grafanaRules") != GrafanaRules.NONE,
        datasource_uid=outputs.get("datasourceUid") or DATASOURCE_UID,
        api_key=parse_keys(keys)[0] if keys else None,
        metrics_key=outputs.get("metricsKey") or None,
    )


def default_targets() -> Targets:
    """Return the default ports on loopback."""
    return Targets(
        origin="the default ports on this machine",
        proxy=f"http://{LOOPBACK}:{PROXY.port}",
        engine=f"http://{LOOPBACK}:{ENGINE.port}",
        prometheus=f"http://{LOOPBACK}:{PROMETHEUS.port}",
    )


def links(targets: Targets, dashboard_uid: str) -> dict[str, str]:
    """Return the pages to open in a browser, by title."""
    shown = {"Metrics": f"{targets.proxy}/metrics"}
    if targets.prometheus:
        shown["Prometheus targets"] = f"{targets.prometheus}/targets"
        shown["Prometheus alerts"] = f"{targets.prometheus}/alerts"
    if targets.grafana:
        shown["Grafana dashboard"] = f"{targets.grafana}/d/{dashboard_uid}"
    return shown
