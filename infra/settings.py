"""The stack's settings: the only reader of ``pulumi.Config``.

Every setting is declared in ``Pulumi.yaml`` with its type, default and description; the fields here
carry the same names (in snake case) and defaults. ``load`` reports all bad settings in one error.
"""

import dataclasses
import difflib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pulumi

from infra import topology
from infra.checks import problems
from infra.choices import (
    DEFAULT_PASSWORD,
    NO_SECRET,
    EngineMode,
    GrafanaRules,
    Secret,
    ServiceMode,
)
from monitoring.thresholds import Thresholds, ThresholdsError
from proxy_service.settings import DEFAULT_CONCURRENT_REQUESTS, DEFAULT_QUEUED_REQUESTS


class SettingsError(pulumi.RunError):
    """One or more settings are wrong; the message has a line for each."""


@dataclass(frozen=True)
class Settings:
    """All that a user can choose; ``Pulumi.yaml`` describes each field. Empty text means unset."""

    engine: EngineMode = EngineMode.MISTRALRS
    mistral_url: str = ""
    model: str = ""
    model_details: str = ""
    quantization: str = ""
    hf_token: Secret = NO_SECRET
    gpus: str = "none"
    engine_memory_mb: int = 8192
    engine_wait_seconds: int = 1800
    bind_address: str = "127.0.0.1"
    advertised_host: str = ""
    api_key: Secret = NO_SECRET
    allow_unauthenticated: bool = False
    proxy_port: int = topology.PROXY.port
    max_concurrent_requests: int = DEFAULT_CONCURRENT_REQUESTS
    max_queued_requests: int = DEFAULT_QUEUED_REQUESTS
    prometheus_port: int = topology.PROMETHEUS.port
    grafana_port: int = topology.GRAFANA.port
    prometheus: ServiceMode = ServiceMode.MANAGED
    prometheus_url: str = ""
    prometheus_retention: str = "15d"
    grafana: ServiceMode = ServiceMode.MANAGED
    grafana_url: str = ""
    grafana_token: Secret = NO_SECRET
    grafana_admin_password: Secret = DEFAULT_PASSWORD
    grafana_rules: GrafanaRules = GrafanaRules.CURRENT
    datasource_url: str = ""
    alert_thresholds: Thresholds = field(default_factory=Thresholds)
    runbook_base_url: str = ""
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
    platform: str = ""
    docker_host: str = ""
    wait_seconds: int = 120
    protect_data: bool = False

    @property
    def host(self) -> str:
        """Host name under which the published ports are reached."""
        if self.advertised_host:
            return self.advertised_host
        return "127.0.0.1" if self.bind_address == "0.0.0.0" else self.bind_address  # noqa: S104 - compared, not bound

    @property
    def metrics_key(self) -> Secret:
        """Key that opens the proxy's metrics and tells nothing of ``api_key``, which it is of."""
        if not self.api_key:
            return NO_SECRET
        return Secret(hmac.digest(self.api_key.value.encode(), b"metrics", "sha256").hex())

    @property
    def email_addresses(self) -> tuple[str, ...]:
        """Addresses that get alerts, without the blanks around them."""
        return tuple(part.strip() for part in self.alert_emails.split(",") if part.strip())


def setting_name(field_name: str) -> str:
    """Name of a field in ``Pulumi.yaml``: camel case, as Pulumi projects have it."""
    first, *others = field_name.split("_")
    return first + "".join(part.capitalize() for part in others)


SETTING_NAMES = {setting_name(item.name): item.name for item in dataclasses.fields(Settings)}
"""Every setting's name in ``Pulumi.yaml``, with its field's name."""

THRESHOLD_NAMES = {
    setting_name(item.name): item.name
    for item in dataclasses.fields(Thresholds)
    if item.type in ("int", "float")
}
"""Names that may stand in ``alertThresholds``, with their field's name."""


def load(config: pulumi.Config) -> Settings:
    """Read and check every setting of the stack.

    Raises:
        SettingsError: With one line for each bad setting, saying what to do about it.
    """
    values: dict[str, Any] = {}
    errors = _unknown_settings(config)
    for item in dataclasses.fields(Settings):
        name = setting_name(item.name)
        text = config.get(name)
        if text is None:
            continue
        try:
            values[item.name] = _PARSERS[item.type](text)
        except ValueError as error:
            errors.append(f"{name}: {error}")
    settings = Settings(**values)
    errors += [*_plain_secrets(config, settings), *problems(settings)]
    if errors:
        raise SettingsError(_report(errors))
    return settings


def _report(errors: list[str]) -> str:
    lines = "\n".join(f"  - {error}" for error in errors)
    return f"{len(errors)} bad setting(s) (change one with `pulumi config set`):\n{lines}"


def _unknown_settings(config: pulumi.Config) -> list[str]:
    """Find names in the stack's file that no setting has: a typing error is otherwise silent."""
    names = _own(config, pulumi.runtime.get_config_env())
    return [
        _no_such_name(name, "setting", SETTING_NAMES) for name in names if name not in SETTING_NAMES
    ]


def _plain_secrets(config: pulumi.Config, settings: Settings) -> list[str]:
    """Find secrets that lie unencrypted in the stack's file."""
    encrypted = _own(config, pulumi.runtime.get_config_secret_keys_env())
    secrets = {
        setting_name(item.name): (getattr(settings, item.name), item.default)
        for item in dataclasses.fields(Settings)
        if item.type is Secret
    }
    return [
        f"{name}: is stored in plain text; run `pulumi config set --secret {name}`"
        for name, (value, default) in secrets.items()
        if value != default and name not in encrypted
    ]


def _own(config: pulumi.Config, keys: Iterable[str]) -> list[str]:
    prefix = f"{config.name}:"
    return [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]


def _no_such_name(name: str, what: str, known: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
    return f"{name}: no such {what}; {hint}"


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _choice(kind: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parse(text: str) -> StrEnum:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is none of {', '.join(kind)}") from None

    return parse


def _thresholds(text: str) -> Thresholds:
    """Read an object of thresholds; the error names every bad entry."""
    given = _object(text)
    errors = [
        _no_such_name(name, "threshold", THRESHOLD_NAMES)
        for name in given
        if name not in THRESHOLD_NAMES
    ]
    errors += [
        f"{name}: {value!r} is not a number"
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, int | float)
    ]
    if errors:
        raise ValueError("; ".join(errors))
    try:
        return Thresholds(**{THRESHOLD_NAMES[name]: value for name, value in given.items()})
    except ThresholdsError as error:
        raise ValueError(_in_setting_names(str(error))) from error


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except json.JSONDecodeError:
        given = None
    if isinstance(given, dict):
        return given
    raise ValueError(f'{text!r} is not an object such as {{"highLatencySeconds": 8}}')


def _in_setting_names(message: str) -> str:
    # Longest first: one name can contain another.
    for name in sorted(THRESHOLD_NAMES, key=len, reverse=True):
        message = message.replace(THRESHOLD_NAMES[name], name)
    return message


_PARSERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: _integer,
    bool: _boolean,
    Secret: Secret,
    Thresholds: _thresholds,
    EngineMode: _choice(EngineMode),
    ServiceMode: _choice(ServiceMode),
    GrafanaRules: _choice(GrafanaRules),
}
