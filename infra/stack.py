"""Composition: from the settings to the components, and the URLs that they give."""

import json
from urllib.parse import urlsplit

import pulumi
import pulumi_docker as docker

from alerts import grafana as grafana_rules
from alerts import prometheus as prometheus_rules
from dashboards import overview
from dashboards.signals import DATASOURCE_UID
from infra import readiness, references, settings, topology
from infra.choices import EngineMode, ServiceMode
from infra.components.engine import Engine, EngineArgs
from infra.components.grafana import ADMIN_USER, Grafana, GrafanaArgs, Smtp
from infra.components.grafana_content import (
    GrafanaContent,
    GrafanaContentArgs,
    Notification,
    api_provider,
)
from infra.components.prometheus import Prometheus, PrometheusArgs
from infra.components.proxy import Proxy, ProxyArgs, is_on_host
from infra.container import Placement, Publication
from infra.images import Build
from infra.render import prometheus_config
from infra.settings import Settings

GRAFANA_DEADLINE_SECONDS = 90.0
"""How long Grafana may take to answer when something is to be written to it."""


def main() -> None:
    """Build the stack that Pulumi is asked for, and export where to find it."""
    chosen = settings.load(pulumi.Config())
    for name, value in build(chosen, pulumi.get_stack()).items():
        pulumi.export(name, value)


def build(chosen: Settings, stack: str) -> dict[str, pulumi.Input[str]]:
    """Create every component.

    Args:
        chosen: Checked settings.
        stack: Name of the Pulumi stack.

    Returns:
        The stack's outputs: URLs, the engine's kind, and how to log in to Grafana.
    """
    return _Stack(chosen, stack).build()


class _Stack:
    """One stack while it is composed: what its parts share, and a method for each of them."""

    def __init__(self, chosen: Settings, stack: str) -> None:
        self._settings = chosen
        self._stack = stack
        self._digests = references.recorded_digests() if chosen.use_digests else {}
        self._docker = docker.Provider("docker", host=chosen.docker_host or None)
        network = docker.Network(
            "network",
            name=topology.physical_name(topology.NETWORK, stack),
            driver="bridge",
            opts=pulumi.ResourceOptions(provider=self._docker),
        )
        self._placement = Placement(stack, network.id)

    def build(self) -> dict[str, pulumi.Input[str]]:
        chosen = self._settings
        if chosen.engine is not EngineMode.EXTERNAL:
            Engine("engine", self._engine_args(), self._on_docker())
        Proxy("proxy", self._proxy_args(), self._on_docker())
        if chosen.prometheus is ServiceMode.MANAGED:
            Prometheus("prometheus", self._prometheus_args(), self._on_docker())
        grafana = None
        if chosen.grafana is ServiceMode.MANAGED:
            grafana = Grafana("grafana", self._grafana_args(), self._on_docker())
        dashboard = overview.render(chosen.alert_thresholds)
        self._grafana_content(dashboard, grafana)
        return self._outputs(json.loads(dashboard)["uid"])

    def _on_docker(self) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(providers=[self._docker])

    def _image(self, reference: str) -> str:
        return references.pinned(reference, self._digests)

    def _build(self) -> Build:
        chosen = self._settings
        return Build(self._image(chosen.python_image), chosen.builder, chosen.platform)

    def _published(self, port: int) -> Publication:
        return Publication(self._settings.bind_address, port)

    def _url(self, port: int) -> str:
        return f"http://{self._settings.host}:{port}"

    @property
    def _engine_url(self) -> str:
        external = self._settings.engine is EngineMode.EXTERNAL
        return self._settings.mistral_url if external else topology.ENGINE.url

    def _engine_args(self) -> EngineArgs:
        chosen = self._settings
        return EngineArgs(
            placement=self._placement,
            mode=chosen.engine,
            image=self._image(chosen.mistralrs_image),
            build=self._build(),
            model=chosen.model,
            quantization=chosen.quantization,
            hf_token=chosen.hf_token,
            gpus=chosen.gpus,
            memory_mb=chosen.engine_memory_mb,
            wait_seconds=chosen.engine_wait_seconds,
            protect_data=chosen.protect_data,
        )

    def _proxy_args(self) -> ProxyArgs:
        return ProxyArgs(
            placement=self._placement,
            build=self._build(),
            engine_url=self._engine_url,
            publication=self._published(self._settings.proxy_port),
            wait_seconds=self._settings.wait_seconds,
        )

    def _prometheus_args(self) -> PrometheusArgs:
        chosen = self._settings
        engine_target = _metrics_target(chosen.engine, self._engine_url)
        return PrometheusArgs(
            placement=self._placement,
            image=self._image(chosen.prometheus_image),
            config=prometheus_config(
                proxy_target=topology.PROXY.target,
                prometheus_target=f"localhost:{topology.PROMETHEUS.port}",
                rules_glob=f"{topology.RULES_FOLDER}/*.yml",
                grafana_target=self._grafana_target(),
                engine_target=engine_target,
            ),
            rules=prometheus_rules.render(chosen.alert_thresholds),
            retention=chosen.prometheus_retention,
            publication=self._published(chosen.prometheus_port),
            wait_seconds=chosen.wait_seconds,
            protect_data=chosen.protect_data,
            host_gateway=engine_target is not None and is_on_host(self._engine_url),
        )

    def _grafana_target(self) -> str | None:
        managed = self._settings.grafana is ServiceMode.MANAGED
        return topology.GRAFANA.target if managed else None

    def _grafana_args(self) -> GrafanaArgs:
        chosen = self._settings
        return GrafanaArgs(
            placement=self._placement,
            image=self._image(chosen.grafana_image),
            admin_password=chosen.grafana_admin_password,
            url=self._grafana_url,
            publication=self._published(chosen.grafana_port),
            wait_seconds=chosen.wait_seconds,
            protect_data=chosen.protect_data,
            smtp=Smtp(chosen.smtp_host, chosen.smtp_from, chosen.smtp_user, chosen.smtp_password),
        )

    @property
    def _grafana_url(self) -> str:
        if self._settings.grafana is ServiceMode.EXTERNAL:
            return self._settings.grafana_url.rstrip("/")
        return self._url(self._settings.grafana_port)

    @property
    def _datasource_url(self) -> str:
        chosen = self._settings
        if chosen.datasource_url:
            return chosen.datasource_url
        if chosen.prometheus is ServiceMode.EXTERNAL:
            return chosen.prometheus_url
        if chosen.grafana is ServiceMode.EXTERNAL:
            return self._url(chosen.prometheus_port)
        return topology.PROMETHEUS.url

    def _login(self) -> readiness.Login:
        if self._settings.grafana is ServiceMode.EXTERNAL:
            return readiness.Login("", self._settings.grafana_token.value)
        return readiness.Login(ADMIN_USER, self._settings.grafana_admin_password.value)

    def _grafana_content(self, dashboard: str, grafana: Grafana | None) -> None:
        chosen = self._settings
        url, login = self._grafana_url, self._login()
        credentials = ":".join(part for part in login if part)
        provider = api_provider(
            "grafana",
            url,
            pulumi.Output.secret(credentials),
            depends_on=[] if grafana is None else [grafana.container],
        )
        args = GrafanaContentArgs(
            datasource_url=self._datasource_url,
            dashboard=dashboard,
            rule_groups=grafana_rules.rule_groups(chosen.alert_thresholds, DATASOURCE_UID),
            notification=Notification(
                chosen.alert_webhook_url, chosen.alert_slack_url, chosen.email_addresses
            ),
            owns_policies=grafana is not None,
            ready=lambda: readiness.await_grafana(url, login, GRAFANA_DEADLINE_SECONDS),
            confirm=lambda uid: readiness.confirm_folder(url, login, uid),
            volume=None if grafana is None else grafana.volume,
        )
        GrafanaContent("grafana-content", args, pulumi.ResourceOptions(providers=[provider]))

    def _outputs(self, dashboard_uid: str) -> dict[str, pulumi.Input[str]]:
        chosen = self._settings
        managed = chosen.grafana is ServiceMode.MANAGED
        own_prometheus = chosen.prometheus is ServiceMode.MANAGED
        proxy_url = self._url(chosen.proxy_port)
        return {
            "proxyUrl": proxy_url,
            "metricsUrl": f"{proxy_url}/metrics",
            "prometheusUrl": (
                self._url(chosen.prometheus_port) if own_prometheus else chosen.prometheus_url
            ),
            "grafanaUrl": self._grafana_url if managed else "",
            "dashboardUrl": f"{self._grafana_url}/d/{dashboard_uid}",
            "engineUrl": self._engine_url,
            "engine": chosen.engine,
            "grafanaUser": ADMIN_USER if managed else "",
            "grafanaAdminPassword": (
                chosen.grafana_admin_password.output if managed else pulumi.Output.secret("")
            ),
        }


def _metrics_target(engine: EngineMode, url: str) -> str | None:
    """Tell where the engine has metrics of its own: the Mistral.rs server does, ours does not."""
    parts = urlsplit(url)
    if engine is EngineMode.EMBEDDED or parts.scheme != "http":
        return None
    return f"{parts.hostname}:{parts.port or 80}"
