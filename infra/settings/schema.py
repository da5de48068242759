"""What a setting is: the name, type and default of each.

``Pulumi.yaml`` declares every setting with its default and description; the fields of ``Settings``
carry the same names (in snake case) and defaults.
"""

import base64
import dataclasses
import hmac
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from infra import topology
from infra.docker_host import is_loopback
from infra.settings.mute_timings import MuteTiming
from infra.settings.served_models import DEFAULT_MODEL, ServedModel
from infra.settings.types import (
    DEFAULT_PASSWORD,
    NO_ADAPTERS,
    NO_ARGUMENTS,
    NO_SECRET,
    NO_VARIABLES,
    Arguments,
    EngineMode,
    GrafanaRules,
    LoraAdapters,
    NotifySeverity,
    Secret,
    ServiceMode,
    Variables,
)
from monitoring.names import SCRAPE_INTERVAL_SECONDS
from monitoring.thresholds import Thresholds, Timing
from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.values import MIB, BindAddress

_PROXY = ProxySettings()


@dataclass(frozen=True)
class Settings:
    """Everything a user can set; ``Pulumi.yaml`` describes each field. Empty text means unset."""

    engine: EngineMode = EngineMode.MISTRALRS
    mistral_url: str = ""
    model: str = ""
    model_details: str = ""
    quantization: str = ""
    models: tuple[ServedModel, ...] = ()
    context_length: int | None = None
    kv_cache_mb: int | None = None
    kv_cache_fraction: float | None = None
    max_seqs: int | None = None
    prefix_cache_size: int | None = None
    seed: int | None = None
    chat_template: str = ""
    lora_adapters: LoraAdapters = field(default_factory=lambda: NO_ADAPTERS)
    engine_args: Arguments = NO_ARGUMENTS
    engine_environment: Variables = field(default_factory=lambda: NO_VARIABLES)
    hf_token: Secret = NO_SECRET
    gpus: str = "none"
    engine_memory_mb: int = 8192
    engine_wait_seconds: int = 900
    proxy_port: int = topology.PROXY.port
    max_concurrent_requests: int = _PROXY.max_concurrent_requests
    max_queued_requests: int = _PROXY.max_queued_requests
    # What the proxy reads is text here: its own parsers check it (see `proxy_variables`).
    max_connections: str = str(_PROXY.max_connections)
    max_body_mib: str = str(_PROXY.max_body_bytes // MIB)
    max_unpacked_mib: str = str(_PROXY.max_unpacked_bytes // MIB)
    model_aliases: str = ""
    model_unload: bool = _PROXY.model_unload
    keep_alive: str = f"{_PROXY.model_keep_alive_seconds:g}"
    max_loaded_models: str = str(_PROXY.max_loaded_models)
    ollama_version: str = _PROXY.ollama_version
    engine_connect_timeout_seconds: str = f"{_PROXY.engine_connect_timeout_seconds:g}"
    engine_silence_timeout_seconds: str = f"{_PROXY.engine_silence_timeout_seconds:g}"
    engine_reply_timeout_seconds: str = f"{_PROXY.engine_reply_timeout_seconds:g}"
    engine_keep_alive_seconds: str = f"{_PROXY.engine_keep_alive_seconds:g}"
    engine_probe_interval_seconds: str = f"{_PROXY.engine_probe_interval_seconds:g}"
    engine_probe_timeout_seconds: str = f"{_PROXY.engine_probe_timeout_seconds:g}"
    client_request_timeout_seconds: str = f"{_PROXY.client_request_timeout_seconds:g}"
    client_stall_timeout_seconds: str = f"{_PROXY.client_stall_timeout_seconds:g}"
    client_keep_alive_seconds: str = f"{_PROXY.client_keep_alive_seconds:g}"
    shutdown_grace_seconds: str = f"{_PROXY.shutdown_grace_seconds:g}"
    log_level: str = _PROXY.log_level
    log_format: str = _PROXY.log_format
    bind_address: str = "127.0.0.1"
    advertised_host: str = ""
    api_key: Secret = NO_SECRET
    allow_unauthenticated: bool = False
    allow_engine_tools: bool = _PROXY.allow_engine_tools
    allowed_hosts: str = ""
    allowed_origins: str = ""
    prometheus: ServiceMode = ServiceMode.MANAGED
    prometheus_url: str = ""
    prometheus_user: str = ""
    prometheus_password: Secret = NO_SECRET
    prometheus_token: Secret = NO_SECRET
    prometheus_ca_file: str = ""
    prometheus_port: int = topology.PROMETHEUS.port
    prometheus_bind_address: str = ""
    prometheus_retention: str = "15d"
    scrape_interval_seconds: int = SCRAPE_INTERVAL_SECONDS
    grafana: ServiceMode = ServiceMode.MANAGED
    grafana_url: str = ""
    grafana_token: Secret = NO_SECRET
    grafana_port: int = topology.GRAFANA.port
    grafana_admin_password: Secret = DEFAULT_PASSWORD
    grafana_rules: GrafanaRules = GrafanaRules.CURRENT
    datasource_url: str = ""
    datasource_uid: str = ""
    alert_thresholds: Thresholds = field(default_factory=Thresholds)
    runbook_base_url: str = ""
    notify_severity: NotifySeverity = NotifySeverity.WARNING
    alert_mute_timings: tuple[MuteTiming, ...] = ()
    alert_webhook_url: Secret = NO_SECRET
    alert_slack_url: Secret = NO_SECRET
    alert_emails: str = ""
    smtp_host: str = ""
    smtp_from: str = ""
    smtp_user: str = ""
    smtp_password: Secret = NO_SECRET
    mistralrs_image: str = "ghcr.io/ericlbuehler/mistral.rs:cpu-0.9.4"
    prometheus_image: str = "prom/prometheus:v3.16.0"
    grafana_image: str = "grafana/grafana:13.2.3"
    python_image: str = "python:3.13.16-slim-bookworm"
    use_digests: bool = True
    http_proxy: Secret = NO_SECRET
    https_proxy: Secret = NO_SECRET
    no_proxy: str = ""
    pip_index_url: Secret = NO_SECRET
    ca_file: str = ""
    platform: str = ""
    docker_host: str = ""
    wait_seconds: int = 120
    protect_data: bool = False

    @property
    def host(self) -> str:
        """Host name or address at which the ports on ``bind_address`` are reached."""
        return self._reached_at(self.bind_address)

    @property
    def served_models(self) -> tuple[ServedModel, ...]:
        """The models of the stack's own engine; a single one has no name."""
        default = DEFAULT_MODEL if self.engine is EngineMode.MISTRALRS else ""
        return self.models or (
            ServedModel(
                name="",
                model=self.model or default,
                quantization=self.quantization,
                chat_template=self.chat_template,
                lora_adapters=self.lora_adapters,
            ),
        )

    @property
    def prometheus_address(self) -> str:
        """Address on which Prometheus is published, which has no login."""
        if self.prometheus_bind_address:
            return self.prometheus_bind_address
        return self.bind_address if is_loopback(self.bind_address) else "127.0.0.1"

    @property
    def prometheus_is_hidden(self) -> bool:
        """Whether the stack's Prometheus is published on loopback, but the other ports aren't."""
        managed = self.prometheus is ServiceMode.MANAGED
        only_here = is_loopback(self.prometheus_address) and not is_loopback(self.bind_address)
        return managed and only_here

    @property
    def prometheus_host(self) -> str:
        """Host name or address at which Prometheus is reached."""
        address = self.prometheus_address
        return address if self.prometheus_is_hidden else self._reached_at(address)

    def _reached_at(self, address: str) -> str:
        if self.advertised_host:
            return self.advertised_host
        return "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104 - compared, not bound

    @property
    def published_ports(self) -> dict[str, BindAddress]:
        """Where the stack publishes its ports, by the setting of each."""
        ports = {"proxyPort": BindAddress(self.bind_address, self.proxy_port)}
        if self.prometheus is ServiceMode.MANAGED:
            ports["prometheusPort"] = BindAddress(self.prometheus_address, self.prometheus_port)
        if self.grafana is ServiceMode.MANAGED:
            ports["grafanaPort"] = BindAddress(self.bind_address, self.grafana_port)
        return ports

    @property
    def metrics_key(self) -> Secret:
        """Key for the proxy's metrics only: derived from ``api_key``, which it does not reveal."""
        if not self.api_key:
            return NO_SECRET
        return Secret(hmac.digest(self.api_key.value.encode(), b"metrics", "sha256").hex())

    @property
    def thresholds(self) -> Thresholds:
        """The alerts' thresholds, with windows that suit the scrape interval.

        Raises:
            ThresholdsError: The interval isn't allowed, or too long for a threshold.
        """
        timing = Timing.for_scrape_interval(self.scrape_interval_seconds)
        return dataclasses.replace(self.alert_thresholds, timing=timing)

    @property
    def sends_alerts(self) -> bool:
        """Whether Grafana is to send alerts anywhere."""
        return bool(self.alert_webhook_url or self.alert_slack_url or self.email_addresses)

    @property
    def prometheus_authorization(self) -> Secret:
        """Value of the ``Authorization`` header for an external Prometheus; empty for none."""
        if self.prometheus is not ServiceMode.EXTERNAL:
            return NO_SECRET
        if self.prometheus_token:
            return Secret(f"Bearer {self.prometheus_token.value}")
        if not self.prometheus_user:
            return NO_SECRET
        login = f"{self.prometheus_user}:{self.prometheus_password.value}"
        return Secret(f"Basic {base64.b64encode(login.encode()).decode()}")

    @property
    def email_addresses(self) -> tuple[str, ...]:
        """E-mail addresses that receive alerts, without surrounding spaces."""
        return _items(self.alert_emails)

    @property
    def no_proxy_hosts(self) -> tuple[str, ...]:
        """Hosts that are reached without the HTTP proxy, without surrounding spaces."""
        return _items(self.no_proxy)


def _items(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def setting_name(field_name: str) -> str:
    """Return a field's name in ``Pulumi.yaml``, which is in camel case as usual for Pulumi."""
    first, *others = field_name.split("_")
    return first + "".join(part.capitalize() for part in others)


# The field of each setting, by the setting's name in ``Pulumi.yaml``.
SETTING_NAMES = {setting_name(item.name): item.name for item in dataclasses.fields(Settings)}

# The type of each setting's value, by its field's name.
SETTING_TYPES: dict[str, Any] = get_type_hints(Settings)

# The field of each threshold, by the threshold's name in ``alertThresholds``.
THRESHOLD_NAMES = {
    setting_name(name): name
    for name, kind in get_type_hints(Thresholds).items()
    if kind in (int, float)
}


def in_setting_names(message: str) -> str:
    """Replace the fields of thresholds in a message by their names in ``alertThresholds``."""
    # Longest first: one name can contain another.
    for name in sorted(THRESHOLD_NAMES, key=len, reverse=True):
        message = message.replace(THRESHOLD_NAMES[name], name)
    return message
