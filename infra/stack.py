"""Composition: from the settings to the components, and the URLs that they give."""

import json
from collections.abc import Callable, Mapping

import pulumi
import pulumi_docker as docker

from alerts import grafana as grafana_rules
from alerts import prometheus as prometheus_rules
from dashboards import overview
from infra import addresses, references, topology
from infra.components.engine import Engine, EngineArgs
from infra.components.grafana import ADMIN_PASSWORD_FILE, ADMIN_USER, Grafana, GrafanaArgs, Smtp
from infra.components.grafana_content import (
    GrafanaContent,
    GrafanaContentArgs,
    Notification,
    api_provider,
)
from infra.components.prometheus import PROXY_KEY_FILE, Prometheus, PrometheusArgs
from infra.components.proxy import Proxy, ProxyArgs
from infra.container import Placement, Publication
from infra.hosts import is_loopback, is_on_docker_host
from infra.images import Build
from infra.readiness import GrafanaApi, Login
from infra.render import prometheus_config
from infra.settings.reading import load
from infra.settings.schema import Settings
from infra.settings.values import EngineMode, ServiceMode
from monitoring.names import DATASOURCE_UID


def main() -> None:
    """Build the stack that Pulumi is asked for, and export where to find it."""
    chosen = load(pulumi.Config())
    for name, value in build(chosen, pulumi.get_stack()).items():
        pulumi.export(name, value)


def build(
    chosen: Settings, stack: str, connect: Callable[[str, Login], GrafanaApi] = GrafanaApi
) -> dict[str, pulumi.Input[str]]:
    """Create every component.

    Args:
        chosen: Checked settings.
        stack: Name of the Pulumi stack.
        connect: Gives access to a Grafana, by its URL and login.

    Returns:
        The stack's outputs: URLs, the engine's kind, keys, and how to log in to Grafana.
    """
    provider = docker.Provider("docker", host=chosen.docker_host or None)
    on_docker = pulumi.ResourceOptions(providers=[provider])
    placement = _placement(stack, provider)
    deployed: dict[str, pulumi.Output[str]] = {}
    if chosen.engine is not EngineMode.EXTERNAL:
        engine = Engine("engine", _engine(chosen, placement), on_docker)
        deployed["engine"] = engine.container.id
    proxy = Proxy("proxy", _proxy(chosen, placement), on_docker)
    deployed["proxy"] = proxy.container.id
    if chosen.prometheus is ServiceMode.MANAGED:
        prometheus = Prometheus("prometheus", _prometheus(chosen, placement), on_docker)
        deployed["prometheus"] = prometheus.container.id
    grafana = None
    if chosen.grafana is ServiceMode.MANAGED:
        grafana = Grafana("grafana", _grafana(chosen, placement), on_docker)
    dashboard = overview.render(
        chosen.alert_thresholds,
        prometheus_url=addresses.prometheus_url(chosen),
        runbook_base_url=chosen.runbook_base_url,
    )
    api = connect(addresses.grafana_url(chosen), _login(chosen, stack))
    _grafana_content(chosen, dashboard, api, grafana, deployed)
    return _outputs(chosen, json.loads(dashboard)["uid"])


def _placement(stack: str, provider: docker.Provider) -> Placement:
    network = docker.Network(
        "network",
        name=topology.physical_name(topology.NETWORK, stack),
        driver="bridge",
        opts=pulumi.ResourceOptions(provider=provider),
    )
    return Placement(stack, network.id)


def _image(chosen: Settings, reference: str) -> str:
    digests = references.recorded_digests() if chosen.use_digests else {}
    return references.pinned(reference, digests)


def _build(chosen: Settings, base_image: str) -> Build:
    return Build(_image(chosen, base_image), chosen.platform)


def _engine(chosen: Settings, placement: Placement) -> EngineArgs:
    embedded = chosen.engine is EngineMode.EMBEDDED
    base_image = chosen.python_image if embedded else chosen.mistralrs_image
    return EngineArgs(
        placement=placement,
        mode=chosen.engine,
        build=_build(chosen, base_image),
        model=chosen.model,
        quantization=chosen.quantization,
        hf_token=chosen.hf_token,
        gpus=chosen.gpus,
        memory_mb=chosen.engine_memory_mb,
        wait_seconds=chosen.engine_wait_seconds,
        protect_data=chosen.protect_data,
    )


def _proxy(chosen: Settings, placement: Placement) -> ProxyArgs:
    engine_url = addresses.engine_url(chosen)
    return ProxyArgs(
        placement=placement,
        build=_build(chosen, chosen.python_image),
        engine_url=engine_url,
        model_details=chosen.model_details,
        host_gateway=is_on_docker_host(engine_url),
        publication=Publication(chosen.bind_address, chosen.proxy_port),
        max_concurrent_requests=chosen.max_concurrent_requests,
        max_queued_requests=chosen.max_queued_requests,
        hosts=_proxy_hosts(chosen),
        api_key=chosen.api_key,
        metrics_key=chosen.metrics_key,
        wait_seconds=chosen.wait_seconds,
    )


def _proxy_hosts(chosen: Settings) -> tuple[str, ...]:
    """Name what a proxy may be called; published beyond loopback, by any name as with Ollama."""
    if not is_loopback(chosen.bind_address):
        return ()
    return (chosen.host, topology.PROXY.alias)


def _prometheus(chosen: Settings, placement: Placement) -> PrometheusArgs:
    managed_grafana = chosen.grafana is ServiceMode.MANAGED
    return PrometheusArgs(
        placement=placement,
        image=_image(chosen, chosen.prometheus_image),
        config=prometheus_config(
            proxy_target=topology.PROXY.target,
            prometheus_target=f"localhost:{topology.PROMETHEUS.port}",
            rules_glob=f"{topology.RULES_FOLDER}/*.yml",
            grafana_target=topology.GRAFANA.target if managed_grafana else None,
            engine_target=addresses.engine_metrics_target(chosen),
            proxy_key_file=PROXY_KEY_FILE if chosen.api_key else None,
        ),
        rules=prometheus_rules.render(
            chosen.alert_thresholds, runbook_base_url=chosen.runbook_base_url
        ),
        proxy_key=chosen.metrics_key,
        retention=chosen.prometheus_retention,
        publication=Publication(chosen.bind_address, chosen.prometheus_port),
        wait_seconds=chosen.wait_seconds,
        protect_data=chosen.protect_data,
        host_gateway=is_on_docker_host(addresses.engine_url(chosen)),
    )


def _grafana(chosen: Settings, placement: Placement) -> GrafanaArgs:
    return GrafanaArgs(
        placement=placement,
        image=_image(chosen, chosen.grafana_image),
        admin_password=chosen.grafana_admin_password,
        url=addresses.grafana_url(chosen),
        publication=Publication(chosen.bind_address, chosen.grafana_port),
        wait_seconds=chosen.wait_seconds,
        protect_data=chosen.protect_data,
        host_gateway=is_on_docker_host(addresses.datasource_url(chosen)),
        smtp=Smtp(chosen.smtp_host, chosen.smtp_from, chosen.smtp_user, chosen.smtp_password),
    )


def _grafana_content(
    chosen: Settings,
    dashboard: str,
    api: GrafanaApi,
    grafana: Grafana | None,
    deployed: Mapping[str, pulumi.Output[str]],
) -> None:
    provider = api_provider(
        "grafana-api",
        api.url,
        pulumi.Output.secret(api.login.credentials),
        depends_on=[] if grafana is None else [grafana.container],
    )
    args = GrafanaContentArgs(
        datasource_url=addresses.datasource_url(chosen),
        dashboard=dashboard,
        rule_groups=grafana_rules.rule_groups(
            chosen.alert_thresholds,
            DATASOURCE_UID,
            runbook_base_url=chosen.runbook_base_url,
            dialect=chosen.grafana_rules.value,
        ),
        notification=Notification(
            chosen.alert_webhook_url, chosen.alert_slack_url, chosen.email_addresses
        ),
        owns_policies=grafana is not None,
        api=api,
        deployed=deployed,
        volume=None if grafana is None else grafana.volume,
    )
    GrafanaContent("grafana-content", args, pulumi.ResourceOptions(providers=[provider]))


def _login(chosen: Settings, stack: str) -> Login:
    if chosen.grafana is ServiceMode.EXTERNAL:
        return Login("", chosen.grafana_token.value, "set grafanaToken to one that is valid")
    container = topology.physical_name(topology.GRAFANA.container, stack)
    return Login(
        ADMIN_USER,
        chosen.grafana_admin_password.value,
        "it keeps the password of its first start. To give it the new one, run\n"
        f"  docker exec {container} sh -c "
        f"'grafana cli admin reset-admin-password \"$(cat {ADMIN_PASSWORD_FILE})\"'\n"
        "and then `pulumi up` again",
    )


def _outputs(chosen: Settings, dashboard_uid: str) -> dict[str, pulumi.Input[str]]:
    managed = chosen.grafana is ServiceMode.MANAGED
    grafana_url = addresses.grafana_url(chosen)
    return {
        "proxyUrl": addresses.proxy_url(chosen),
        "metricsUrl": f"{addresses.proxy_url(chosen)}/metrics",
        "prometheusUrl": addresses.prometheus_url(chosen),
        "grafanaUrl": grafana_url,
        "dashboardUrl": f"{grafana_url}/d/{dashboard_uid}",
        "engineUrl": addresses.engine_url(chosen),
        "engine": chosen.engine.value,
        "apiKey": chosen.api_key.output,
        "metricsKey": chosen.metrics_key.output,
        "grafanaUser": ADMIN_USER if managed else "",
        "grafanaAdminPassword": pulumi.Output.secret(
            chosen.grafana_admin_password.value if managed else ""
        ),
    }
