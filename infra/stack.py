"""The whole stack: creates every component from the settings, and returns the outputs."""

import json
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pulumi
import pulumi_docker as docker

from alerts import grafana as grafana_rules
from alerts import prometheus as prometheus_rules
from alerts.grafana import RuleGroup
from dashboards import overview
from infra import image_digests, topology, urls
from infra.certificate_authorities import read_authorities
from infra.components.engine import Engine, EngineArgs
from infra.components.grafana import ADMIN_PASSWORD_FILE, Grafana, GrafanaArgs, Smtp
from infra.components.grafana_content import (
    GrafanaContent,
    GrafanaContentArgs,
    Notification,
    PrometheusSource,
    api_provider,
)
from infra.components.prometheus import PROXY_KEY_FILE, Prometheus, PrometheusArgs
from infra.components.proxy import Proxy, ProxyArgs
from infra.container import Placement, Publication
from infra.docker_endpoint import DockerContextError, DockerEndpoint, docker_endpoint
from infra.docker_host import is_loopback, is_on_docker_host
from infra.docker_probe import DEFAULT_SOCKET, probe_docker
from infra.egress import Egress, egress
from infra.gpus import parse_gpus
from infra.grafana_readiness import GrafanaCheck, Login
from infra.images import Build
from infra.mistralrs_config import EngineOptions
from infra.prometheus_config import (
    prometheus_config,
    retention_flag,
    takes_retention_from_file,
    version_in_tag,
)
from infra.secret_output import secret_output
from infra.settings.proxy_variables import proxy_variables
from infra.settings.reading import SettingsError, load
from infra.settings.schema import Settings
from infra.settings.types import DEFAULT_PASSWORD, EngineMode, GrafanaRules, ServiceMode
from infra.surroundings import Surroundings, hints, misfits


def main() -> None:
    """Create the selected stack and export its outputs."""
    settings = load(pulumi.Config())
    here = _surroundings(settings)
    errors = misfits(settings, here)
    if errors:
        raise SettingsError(errors)
    for hint in hints(settings, here.environ):
        pulumi.log.info(hint)
    outputs = build(settings, pulumi.get_stack(), here.docker, here.ca_certificates or "")
    for name, value in outputs.items():
        pulumi.export(name, value)


def build(
    settings: Settings,
    stack: str,
    endpoint: DockerEndpoint,
    ca_certificates: str = "",
    check_of: Callable[[str, Login], GrafanaCheck] = GrafanaCheck,
) -> dict[str, pulumi.Input[str]]:
    """Create every component.

    Args:
        settings: Checked settings.
        stack: Name of the Pulumi stack.
        endpoint: The Docker Engine.
        ca_certificates: Content of the settings' ``caFile``.
        check_of: Returns the checks of the Grafana at a URL, with a login.

    Returns:
        The stack's outputs: URLs, the kind of engine, keys, and Grafana's login.
    """
    provider = _docker_provider(endpoint)
    on_docker = pulumi.ResourceOptions(providers=[provider])
    placement = _placement(stack, provider)
    way_out = egress(settings, ca_certificates)
    deployed: dict[str, pulumi.Output[str]] = {}
    if settings.engine is not EngineMode.EXTERNAL:
        engine = Engine("engine", _engine(settings, placement, way_out), on_docker)
        deployed["engine"] = engine.container.id
    proxy = Proxy("proxy", _proxy(settings, placement, way_out), on_docker)
    deployed["proxy"] = proxy.container.id
    if settings.prometheus is ServiceMode.MANAGED:
        prometheus = Prometheus("prometheus", _prometheus(settings, placement), on_docker)
        deployed["prometheus"] = prometheus.container.id
    grafana = None
    if settings.grafana is ServiceMode.MANAGED:
        grafana = Grafana("grafana", _grafana(settings, placement, way_out), on_docker)
    dashboard = overview.render(
        settings.thresholds,
        # Other machines' browsers can't follow a link to loopback.
        prometheus_url="" if settings.prometheus_is_hidden else urls.prometheus_url(settings),
        runbook_base_url=settings.runbook_base_url,
        datasource_uid=_source(settings).uid,
    )
    check = check_of(urls.grafana_url(settings), _login(settings, stack))
    _grafana_content(settings, dashboard, check, grafana, deployed)
    return _outputs(settings, json.loads(dashboard)["uid"])


def _docker_endpoint(settings: Settings) -> DockerEndpoint:
    try:
        return docker_endpoint(settings.docker_host, os.environ, Path.home(), _text_of)
    except DockerContextError as error:
        raise SettingsError([f"dockerHost: {error}"]) from error


def _text_of(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _may_exist(path: str) -> bool:
    """Return whether a path exists; Docker sees more than a user who may not look."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _surroundings(settings: Settings) -> Surroundings:
    endpoint = _docker_endpoint(settings)
    return Surroundings(
        docker=endpoint,
        probe=probe_docker(endpoint.host or DEFAULT_SOCKET),
        machine=socket.gethostname(),
        environ=os.environ,
        exists=_may_exist,
        ca_certificates=_text_of(Path(settings.ca_file).expanduser()) if settings.ca_file else None,
    )


def _docker_provider(endpoint: DockerEndpoint) -> docker.Provider:
    host = None if endpoint.is_known_to_provider else endpoint.host
    # Unless the context is set, the provider takes DOCKER_CONTEXT, which it prefers to any host and
    # looks up in the home folder only.
    return docker.Provider("docker", host=host, cert_path=endpoint.cert_path, context="")


def _placement(stack: str, provider: docker.Provider) -> Placement:
    network = docker.Network(
        "network",
        name=topology.physical_name(topology.NETWORK, stack),
        driver="bridge",
        labels=[docker.NetworkLabelArgs(label=topology.STACK_LABEL, value=stack)],
        opts=pulumi.ResourceOptions(
            provider=provider,
            # A network without the label is from an earlier version. Another label would replace
            # it, and every container with it.
            ignore_changes=["labels"],
        ),
    )
    return Placement(stack, network.id)


def _image(settings: Settings, reference: str) -> str:
    digests = image_digests.recorded_digests() if settings.use_digests else {}
    return image_digests.pinned(reference, digests)


def _python_build(settings: Settings, way_out: Egress) -> Build:
    return Build(_image(settings, settings.python_image), settings.platform, way_out)


def _engine(settings: Settings, placement: Placement, way_out: Egress) -> EngineArgs:
    official = Build(_image(settings, settings.mistralrs_image), settings.platform)
    embedded = settings.engine is EngineMode.EMBEDDED
    return EngineArgs(
        placement=placement,
        mode=settings.engine,
        build=_python_build(settings, way_out) if embedded else official,
        egress=way_out,
        models=settings.served_models,
        options=EngineOptions(
            max_seqs=settings.max_seqs,
            prefix_cache_size=settings.prefix_cache_size,
            seed=settings.seed,
            context_length=settings.context_length,
            kv_cache_mb=settings.kv_cache_mb,
            kv_cache_fraction=settings.kv_cache_fraction,
        ),
        arguments=settings.engine_args,
        environment=settings.engine_environment,
        hf_token=settings.hf_token,
        gpus=parse_gpus(settings.gpus),
        memory_mb=settings.engine_memory_mb,
        wait_seconds=settings.engine_wait_seconds,
        protect_data=settings.protect_data,
    )


def _proxy(settings: Settings, placement: Placement, way_out: Egress) -> ProxyArgs:
    engine_url = urls.engine_url(settings)
    return ProxyArgs(
        placement=placement,
        build=_python_build(settings, way_out),
        engine_url=engine_url,
        variables=proxy_variables(settings),
        shutdown_grace_seconds=float(settings.shutdown_grace_seconds),
        host_gateway=is_on_docker_host(engine_url),
        publication=Publication(settings.bind_address, settings.proxy_port),
        hosts=_proxy_hosts(settings),
        api_key=settings.api_key,
        metrics_key=settings.metrics_key,
        wait_seconds=settings.wait_seconds,
        trusts_more_cas=bool(way_out.ca_certificates),
    )


def _proxy_hosts(settings: Settings) -> tuple[str, ...]:
    """Return the host names that requests may use; empty for any name, as with Ollama."""
    if not (is_loopback(settings.bind_address) or settings.allowed_hosts):
        return ()
    own = (settings.host, topology.PROXY.alias)
    return (*own, settings.allowed_hosts) if settings.allowed_hosts else own


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
        publication=Publication(settings.prometheus_address, settings.prometheus_port),
        wait_seconds=settings.wait_seconds,
        protect_data=settings.protect_data,
        host_gateway=is_on_docker_host(urls.engine_url(settings)),
    )


def _grafana(settings: Settings, placement: Placement, way_out: Egress) -> GrafanaArgs:
    return GrafanaArgs(
        placement=placement,
        image=_image(settings, settings.grafana_image),
        admin_password=settings.grafana_admin_password,
        url=urls.grafana_url(settings),
        # With a password that everyone knows, a web page could log in under a name of its own that
        # it has resolved to this machine. With any other password it can't, and reverse proxies may
        # use names that the settings don't have.
        only_at_url=settings.grafana_admin_password == DEFAULT_PASSWORD,
        publication=Publication(settings.bind_address, settings.grafana_port),
        wait_seconds=settings.wait_seconds,
        protect_data=settings.protect_data,
        host_gateway=is_on_docker_host(urls.datasource_url(settings)),
        egress=way_out,
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
    source = _source(settings)
    args = GrafanaContentArgs(
        source=source,
        dashboard=dashboard,
        rule_groups=_rule_groups(settings, source.uid),
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


def _source(settings: Settings) -> PrometheusSource:
    return PrometheusSource(
        url=urls.datasource_url(settings),
        scrape_interval_seconds=settings.scrape_interval_seconds,
        user=settings.prometheus_user,
        password=settings.prometheus_password,
        token=settings.prometheus_token,
        authorities=read_authorities(settings.prometheus_ca_file),
        existing_uid=settings.datasource_uid,
    )


def _rule_groups(settings: Settings, datasource_uid: str) -> Sequence[RuleGroup]:
    if settings.grafana_rules is GrafanaRules.NONE:
        return ()
    return grafana_rules.rule_groups(
        settings.thresholds,
        datasource_uid,
        runbook_base_url=settings.runbook_base_url,
        dialect="before-12" if settings.grafana_rules is GrafanaRules.BEFORE_12 else "current",
    )


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
        "datasourceUid": _source(settings).uid,
        "grafanaRules": settings.grafana_rules.value,
        "prometheusCaFile": settings.prometheus_ca_file,
        "prometheusAuthorization": secret_output(settings.prometheus_authorization),
        "apiKey": secret_output(settings.api_key),
        "metricsKey": secret_output(settings.metrics_key),
        "grafanaUser": topology.GRAFANA_USER if managed else "",
        "grafanaAdminPassword": pulumi.Output.secret(
            settings.grafana_admin_password.value if managed else ""
        ),
    }
