"""The whole stack: creates every component from the settings, and returns the outputs."""

import json
from collections.abc import Callable, Mapping

import pulumi
import pulumi_docker as docker

from alerts import grafana as grafana_rules
from alerts import prometheus as prometheus_rules
from dashboards import overview
from infra import image_digests, topology, urls
from infra.components.engine import Engine, EngineArgs
from infra.components.grafana import ADMIN_PASSWORD_FILE, Grafana, GrafanaArgs, Smtp
from infra.components.grafana_content import (
    GrafanaContent,
    GrafanaContentArgs,
    Notification,
    api_provider,
)
from infra.components.prometheus import PROXY_KEY_FILE, Prometheus, PrometheusArgs
from infra.components.proxy import Proxy, ProxyArgs
from infra.container import Placement, Publication
from infra.docker_host import is_loopback, is_on_docker_host
from infra.grafana_readiness import GrafanaCheck, Login
from infra.images import Build
from infra.prometheus_config import (
    prometheus_config,
    retention_flag,
    takes_retention_from_file,
    version_in_tag,
)
from infra.secret_output import secret_output
from infra.settings.reading import load
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, ServiceMode
from monitoring.names import DATASOURCE_UID


def main() -> None:
    """Create the selected stack and export its outputs."""
    settings = load(pulumi.Config())
    for name, value in build(settings, pulumi.get_stack()).items():
        pulumi.export(name, value)


def build(
    settings: Settings, stack: str, check_of: Callable[[str, Login], GrafanaCheck] = GrafanaCheck
) -> dict[str, pulumi.Input[str]]:
    """Create every component.

    Args:
        settings: Checked settings.
        stack: Name of the Pulumi stack.
        check_of: Returns the checks of the Grafana at a URL, with a login.

    Returns:
        The stack's outputs: URLs, the kind of engine, keys, and Grafana's login.
    """
    provider = docker.Provider("docker", host=settings.docker_host or None)
    on_docker = pulumi.ResourceOptions(providers=[provider])
    placement = _placement(stack, provider)
    deployed: dict[str, pulumi.Output[str]] = {}
    if settings.engine is not EngineMode.EXTERNAL:
        engine = Engine("engine", _engine(settings, placement), on_docker)
        deployed["engine"] = engine.container.id
    proxy = Proxy("proxy", _proxy(settings, placement), on_docker)
    deployed["proxy"] = proxy.container.id
    if settings.prometheus is ServiceMode.MANAGED:
        prometheus = Prometheus("prometheus", _prometheus(settings, placement), on_docker)
        deployed["prometheus"] = prometheus.container.id
    grafana = None
    if settings.grafana is ServiceMode.MANAGED:
        grafana = Grafana("grafana", _grafana(settings, placement), on_docker)
    dashboard = overview.render(
        settings.thresholds,
        prometheus_url=urls.prometheus_url(settings),
        runbook_base_url=settings.runbook_base_url,
    )
    check = check_of(urls.grafana_url(settings), _login(settings, stack))
    _grafana_content(settings, dashboard, check, grafana, deployed)
    return _outputs(settings, json.loads(dashboard)["uid"])


def _placement(stack: str, provider: docker.Provider) -> Placement:
    network = docker.Network(
        "network",
        name=topology.physical_name(topology.NETWORK, stack),
        driver="bridge",
        opts=pulumi.ResourceOptions(provider=provider),
    )
    return Placement(stack, network.id)


def _image(settings: Settings, reference: str) -> str:
    digests = image_digests.recorded_digests() if settings.use_digests else {}
    return image_digests.pinned(reference, digests)


def _build(settings: Settings, base_image: str) -> Build:
    return Build(_image(settings, base_image), settings.platform)


def _engine(settings: Settings, placement: Placement) -> EngineArgs:
    embedded = settings.engine is EngineMode.EMBEDDED
    base_image = settings.python_image if embedded else settings.mistralrs_image
    return EngineArgs(
        placement=placement,
        mode=settings.engine,
        build=_build(settings, base_image),
        model=settings.model,
        quantization=settings.quantization,
        hf_token=settings.hf_token,
        gpus=settings.gpus,
        memory_mb=settings.engine_memory_mb,
        wait_seconds=settings.engine_wait_seconds,
        protect_data=settings.protect_data,
    )


def _proxy(settings: Settings, placement: Placement) -> ProxyArgs:
    engine_url = urls.engine_url(settings)
    return ProxyArgs(
        placement=placement,
        build=_build(settings, settings.python_image),
        engine_url=engine_url,
        model_details=settings.model_details,
        host_gateway=is_on_docker_host(engine_url),
        publication=Publication(settings.bind_address, settings.proxy_port),
        max_concurrent_requests=settings.max_concurrent_requests,
        max_queued_requests=settings.max_queued_requests,
        hosts=_proxy_hosts(settings),
        api_key=settings.api_key,
        metrics_key=settings.metrics_key,
        wait_seconds=settings.wait_seconds,
    )


def _proxy_hosts(settings: Settings) -> tuple[str, ...]:
    """Return the host names that requests may use; empty for any name, as with Ollama."""
    if not is_loopback(settings.bind_address):
        return ()
    return (settings.host, topology.PROXY.alias)


def _prometheus(settings: Settings, placement: Placement) -> PrometheusArgs:
    managed_grafana = settings.grafana is ServiceMode.MANAGED
    retention = settings.prometheus_retention
    in_file = takes_retention_from_file(version_in_tag(settings.prometheus_image))
    return PrometheusArgs(
        placement=placement,
        image=_image(settings, settings.prometheus_image),
        config=prometheus_config(
            proxy_target=topology.PROXY.target,
            prometheus_target=f"localhost:{topology.PROMETHEUS.port}",
            rules_glob=f"{topology.RULES_FOLDER}/*.yml",
            grafana_target=topology.GRAFANA.target if managed_grafana else None,
            engine_target=urls.engine_metrics_target(settings),
            proxy_key_file=PROXY_KEY_FILE if settings.api_key else None,
            retention=retention if in_file else None,
            scrape_interval_seconds=settings.scrape_interval_seconds,
        ),
        rules=prometheus_rules.render(
            settings.thresholds, runbook_base_url=settings.runbook_base_url
        ),
        proxy_key=settings.metrics_key,
        retention_flag="" if in_file else retention_flag(retention),
        publication=Publication(settings.bind_address, settings.prometheus_port),
        wait_seconds=settings.wait_seconds,
        protect_data=settings.protect_data,
        host_gateway=is_on_docker_host(urls.engine_url(settings)),
    )


def _grafana(settings: Settings, placement: Placement) -> GrafanaArgs:
    return GrafanaArgs(
        placement=placement,
        image=_image(settings, settings.grafana_image),
        admin_password=settings.grafana_admin_password,
        url=urls.grafana_url(settings),
        publication=Publication(settings.bind_address, settings.grafana_port),
        wait_seconds=settings.wait_seconds,
        protect_data=settings.protect_data,
        host_gateway=is_on_docker_host(urls.datasource_url(settings)),
        smtp=_smtp(settings),
    )


def _smtp(settings: Settings) -> Smtp:
    return Smtp(settings.smtp_host, settings.smtp_from, settings.smtp_user, settings.smtp_password)


def _grafana_content(
    settings: Settings,
    dashboard: str,
    check: GrafanaCheck,
    grafana: Grafana | None,
    deployed: Mapping[str, pulumi.Output[str]],
) -> None:
    provider = api_provider(
        "grafana-api",
        check.url,
        pulumi.Output.secret(check.login.credentials),
        depends_on=[] if grafana is None else [grafana.container],
    )
    args = GrafanaContentArgs(
        datasource_url=urls.datasource_url(settings),
        dashboard=dashboard,
        rule_groups=grafana_rules.rule_groups(
            settings.thresholds,
            DATASOURCE_UID,
            runbook_base_url=settings.runbook_base_url,
            dialect=settings.grafana_rules.value,
        ),
        notification=Notification(
            settings.alert_webhook_url,
            settings.alert_slack_url,
            settings.email_addresses,
            lowest_severity=settings.notify_severity.value,
            mute_timings=settings.alert_mute_timings,
        ),
        owns_policies=grafana is not None,
        check=check,
        deployed=deployed,
        volume=None if grafana is None else grafana.volume,
    )
    GrafanaContent("grafana-content", args, pulumi.ResourceOptions(providers=[provider]))


def _login(settings: Settings, stack: str) -> Login:
    if settings.grafana is ServiceMode.EXTERNAL:
        return Login("", settings.grafana_token.value, "set grafanaToken to a valid token")
    container = topology.physical_name(topology.GRAFANA.container, stack)
    return Login(
        topology.GRAFANA_USER,
        settings.grafana_admin_password.value,
        "it keeps the password of its first start. To set the new one, run\n"
        f"  docker exec {container} sh -c "
        f"'grafana cli admin reset-admin-password \"$(cat {ADMIN_PASSWORD_FILE})\"'\n"
        "and then `pulumi up` again",
    )


def _outputs(settings: Settings, dashboard_uid: str) -> dict[str, pulumi.Input[str]]:
    managed = settings.grafana is ServiceMode.MANAGED
    grafana_url = urls.grafana_url(settings)
    return {
        "proxyUrl": urls.proxy_url(settings),
        "metricsUrl": f"{urls.proxy_url(settings)}/metrics",
        "prometheusUrl": urls.prometheus_url(settings),
        "grafanaUrl": grafana_url,
        "dashboardUrl": f"{grafana_url}/d/{dashboard_uid}",
        "engineUrl": urls.engine_url(settings),
        "engine": settings.engine.value,
        "apiKey": secret_output(settings.api_key),
        "metricsKey": secret_output(settings.metrics_key),
        "grafanaUser": topology.GRAFANA_USER if managed else "",
        "grafanaAdminPassword": pulumi.Output.secret(
            settings.grafana_admin_password.value if managed else ""
        ),
    }
