"""Settings are declared once, read in one place, and reported together if they are bad."""

import __future__

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pulumi
import pytest
import yaml

from infra.settings import schema
from infra.settings.page import GROUPS
from infra.settings.reading import SettingsError, load
from infra.settings.schema import SETTING_NAMES, SETTING_TYPES, THRESHOLD_NAMES, Settings
from infra.settings.values import Secret, ServiceMode
from tests.infra import monitor

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
DECLARED: dict[str, dict[str, Any]] = PROJECT["config"]

ELSEWHERE = {
    "grafana": "external",
    "grafanaUrl": "https://grafana.example",
    "grafanaToken": "glsa_x",
}
"""A Grafana on another machine."""

Load = Callable[..., Settings]


@pytest.fixture(name="loaded")
def _loaded(monkeypatch: pytest.MonkeyPatch) -> Load:
    def load_these(values: dict[str, Any], *, encrypted: bool = True) -> Settings:
        config = {f"frontier:{name}": str(value) for name, value in values.items()}
        monitor.start()
        monitor.finish()
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
        monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps([*config] if encrypted else []))
        return load(pulumi.Config("frontier"))

    return load_these


def test_pulumi_yaml_declares_every_setting_and_no_other_in_the_same_order() -> None:
    assert list(DECLARED) == list(SETTING_NAMES)


def test_every_setting_has_a_type_a_default_and_a_description() -> None:
    for name, declaration in DECLARED.items():
        assert {"type", "default", "description"} <= declaration.keys(), name


def test_declared_defaults_are_those_of_the_program(loaded: Load) -> None:
    written = {name: item["default"] for name, item in DECLARED.items()}
    assert written.keys() == SETTING_NAMES.keys()
    assert loaded(written) == Settings()


def test_all_are_strings_so_that_the_cli_can_set_them_and_leaves_checks_to_the_program() -> None:
    """`pulumi config set` stores text, and refuses it for a setting of another type."""
    assert {item["type"] for item in DECLARED.values()} == {"string"}
    assert {type(item["default"]) for item in DECLARED.values()} == {str}


def test_secrets_are_described_as_such() -> None:
    for name, field in SETTING_NAMES.items():
        is_secret = SETTING_TYPES[field] is Secret
        assert DECLARED[name]["description"].startswith("Secret: ") is is_secret, name


def test_types_are_the_same_where_annotations_are_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after ``from __future__ import annotations``, and in a later Python's own way."""
    name = "schema_with_string_annotations"
    program = compile(
        Path(schema.__file__).read_text(encoding="utf-8"),
        schema.__file__,
        "exec",
        flags=__future__.annotations.compiler_flag,
    )
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(program, module.__dict__)  # noqa: S102 - our own source
    assert {item.type for item in dataclasses.fields(module.Settings)} > {"str", "int", "Secret"}
    assert module.SETTING_TYPES == SETTING_TYPES
    assert module.THRESHOLD_NAMES == THRESHOLD_NAMES


def test_only_one_module_reads_pulumis_configuration() -> None:
    readers = [
        path.name
        for path in [*ROOT.glob("infra/**/*.py")]
        if "get_config" in path.read_text(encoding="utf-8")
    ]
    assert readers == ["reading.py"]


def test_an_empty_configuration_gives_the_defaults(loaded: Load) -> None:
    assert loaded({}) == Settings()


def test_values_are_read_with_their_types(loaded: Load) -> None:
    chosen = loaded({"proxyPort": 1234, "protectData": "true", "grafanaAdminPassword": "x"})
    assert (chosen.proxy_port, chosen.protect_data) == (1234, True)
    assert chosen.grafana_admin_password == Secret("x")


def test_every_documented_example_is_a_setting_of_its_own(loaded: Load) -> None:
    """All of them together make a stack, and none is the default."""
    examples = {
        name: value.replace("{default}", DECLARED[name]["default"])
        for group in GROUPS.values()
        for name, value in group.items()
        if value is not None
    }
    chosen = loaded({**examples, "apiKey": "0123456789abcdef", "grafanaToken": "glsa_x"})
    given = {SETTING_NAMES[name] for name in examples}
    assert {
        field for field in given if getattr(chosen, field) == getattr(Settings(), field)
    } == set()


def test_thresholds_are_set_by_name(loaded: Load) -> None:
    chosen = loaded({"alertThresholds": '{"highLatencySeconds": 7.5}'})
    assert chosen.alert_thresholds.high_latency_seconds == 7.5
    assert chosen.alert_thresholds.very_high_latency_seconds == 10


def test_all_bad_settings_are_named_in_one_error(loaded: Load) -> None:
    bad = {
        "engine": "llama",
        "mistralUrl": "host:8080",
        "gpus": "some",
        "bindAddress": "0.0.0.0",
        "proxyPort": "http",
        "prometheusPort": 9090,
        "grafanaPort": 9090,
        "prometheusRetention": "two weeks",
        "protectData": "maybe",
        "grafanaImage": "grafana/grafana:latest",
        "alertEmails": "nobody",
        "alertThresholds": '{"highErrorRatio": 2}',
        "waitSeconds": 1,
        "grafanPort": 3001,
    }
    with pytest.raises(SettingsError) as caught:
        loaded(bad)
    message = str(caught.value)
    for name in (*bad.keys() - {"bindAddress"}, "grafanaAdminPassword", "smtpHost"):
        assert f"  - {name}" in message or f" {name}" in message, name
    assert "did you mean grafanaPort?" in message


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"engine": "external"}, "mistralUrl: must be set when engine is external"),
        ({"engine": "llama"}, "'llama' is not one of mistralrs, external, embedded"),
        ({"mistralUrl": "ftp://x"}, "mistralUrl: 'ftp://x' is not a URL"),
        ({"mistralUrl": "http://x:99999"}, "mistralUrl: 'http://x:99999' is not a URL"),
        (
            {"engine": "external", "mistralUrl": "http://localhost:8080"},
            "mistralUrl: loopback in the proxy's container is the container itself",
        ),
        (
            {"engine": "external", "mistralUrl": "http://localhost:8080"},
            "for a server on the Docker host use http://host.docker.internal:8080",
        ),
        ({"engine": "external", "mistralUrl": "http://127.0.0.2"}, "http://host.docker.internal"),
        ({"engine": "external", "mistralUrl": "http://[::1]:80/x"}, "host.docker.internal:80/x"),
        ({"modelDetails": '{"m": {"colour": "red"}}'}, "is not a JSON object from engine id to"),
        (
            {"mistralUrl": "http://me:word@box:1"},
            "mistralUrl: remove user and password from",
        ),
        (
            {"prometheus": "external", "prometheusUrl": "http://127.0.0.1:9090"},
            "set datasourceUrl to http://host.docker.internal:9090",
        ),
        (
            {"datasourceUrl": "http://localhost:9090"},
            "datasourceUrl: loopback in Grafana's container is the container itself",
        ),
        (ELSEWHERE, "datasourceUrl: Prometheus is on this machine's loopback"),
        ({**ELSEWHERE, "bindAddress": "0.0.0.0"}, "datasourceUrl: Prometheus is on this"),
        ({**ELSEWHERE, "advertisedHost": "box.example"}, "datasourceUrl: Prometheus is on this"),
        (
            {**ELSEWHERE, "prometheus": "external", "prometheusUrl": "http://localhost:9090"},
            "datasourceUrl: Prometheus is on this machine's loopback",
        ),
        ({"dockerHost": "ssh://me@box"}, "advertisedHost: dockerHost is another machine"),
        (
            {"dockerHost": "tcp://192.0.2.7:2376", "bindAddress": "0.0.0.0"},
            "advertisedHost: dockerHost is another machine",
        ),
        ({"proxyPort": 3000}, "proxyPort and grafanaPort: have the same port 3000"),
        ({"proxyPort": 0}, "proxyPort: 0 is not a port"),
        ({"proxyPort": "eleven"}, "proxyPort: 'eleven' is not a whole number"),
        ({"protectData": "yes"}, "protectData: 'yes' is not true or false"),
        ({"gpus": "all"}, "gpus: mistralrsImage is a CPU image"),
        ({"gpus": "device="}, "gpus: 'device=' is not none, all or a list"),
        ({"bindAddress": "localhost"}, "bindAddress: 'localhost' is not an IPv4 address"),
        (
            {"bindAddress": "192.0.2.7"},
            "grafanaAdminPassword: the default is refused when",
        ),
        ({"grafanaAdminPassword": ""}, "grafanaAdminPassword: must not be empty"),
        ({"grafana": "external"}, "grafanaUrl: must be set when grafana is external"),
        ({"grafana": "external"}, "grafanaToken: must be set to a service account token"),
        ({"prometheus": "external"}, "prometheusUrl: must be set when prometheus is external"),
        ({"alertWebhookUrl": "hook"}, "alertWebhookUrl: the value is not a URL"),
        ({"alertEmails": "a@example.org"}, "smtpHost: must be set to a mail server"),
        ({"smtpHost": "mail"}, "smtpHost: 'mail' is not host:port"),
        ({"pythonImage": "python"}, "pythonImage: 'python' has no exact version"),
        ({"platform": "arm"}, "platform: 'arm' is not a platform"),
        (
            {"model": "./tiny"},
            "model: give the folder's absolute path instead of './tiny'",
        ),
        ({"quantization": "4 bits"}, "quantization: '4 bits' is not a level"),
        ({"maxConcurrentRequests": 0}, "maxConcurrentRequests: 0 is not in the range 1 to 100000"),
        ({"maxQueuedRequests": -1}, "maxQueuedRequests: -1 is not in the range 0 to 100000"),
        ({"engineMemoryMb": 0}, "engineMemoryMb: 0 is not 1 or more"),
        ({"alertThresholds": "[]"}, "alertThresholds: '[]' is not a JSON object"),
        ({"alertThresholds": '{"highLatency": 1}'}, "did you mean highLatencySeconds?"),
        (
            {"alertThresholds": '{"highLatencySeconds": "8"}'},
            "highLatencySeconds: '8' is not a number",
        ),
        ({"alertThresholds": '{"highErrorRatio": 5}'}, "highErrorRatio is 5"),
        ({"colour": "red"}, "colour: no such setting"),
    ],
)
def test_a_bad_setting_is_refused_with_what_to_do(
    loaded: Load, values: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(values)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"mistralUrl": "http://localhost:8080"},
        {"engine": "external", "mistralUrl": "http://host.docker.internal:8080"},
        {"prometheus": "external", "prometheusUrl": "http://p.example:9090"},
        {
            "prometheus": "external",
            "prometheusUrl": "http://localhost:9090",
            "datasourceUrl": "http://host.docker.internal:9090",
        },
        {**ELSEWHERE, "grafanaUrl": "http://localhost:3000"},
        {**ELSEWHERE, "datasourceUrl": "http://tunnel.example:9090"},
        {**ELSEWHERE, "bindAddress": "192.0.2.7", "allowUnauthenticated": "true"},
        {"dockerHost": "ssh://me@box", "advertisedHost": "127.0.0.1"},
        {"dockerHost": "tcp://127.0.0.1:2375"},
        {"dockerHost": "unix:///var/run/docker.sock"},
        {"alertWebhookUrl": "https://me:word@hooks.example/x"},
    ],
)
def test_addresses_that_can_be_reached_are_accepted(loaded: Load, values: dict[str, Any]) -> None:
    assert loaded(values)


@pytest.mark.parametrize("address", ["box:1", "box:99999", "localhost:1"])
def test_a_password_in_a_url_is_not_repeated(loaded: Load, address: str) -> None:
    url = f"http://me:word@{address}"
    with pytest.raises(SettingsError) as caught:
        loaded({"engine": "external", "mistralUrl": url, "datasourceUrl": url})
    assert "word" not in str(caught.value).replace("remove user and password from", "")


def test_a_secret_value_is_never_part_of_an_error(loaded: Load) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded({"alertWebhookUrl": "not-a-url-secret"})
    assert "not-a-url-secret" not in str(caught.value)


def test_a_secret_in_plain_text_is_refused(loaded: Load) -> None:
    with pytest.raises(SettingsError, match="hfToken: is stored in plain text"):
        loaded({"hfToken": "hf_x"}, encrypted=False)


@pytest.mark.parametrize(
    "access", [{"apiKey": "0123456789abcdef"}, {"allowUnauthenticated": "true"}]
)
def test_a_public_address_is_accepted_with_an_own_password_and_a_key_or_a_waiver(
    loaded: Load, access: dict[str, str]
) -> None:
    chosen = loaded({"bindAddress": "0.0.0.0", "grafanaAdminPassword": "own", **access})
    assert chosen.host == "127.0.0.1"


def test_a_public_address_needs_a_key_and_the_error_names_both_remedies(loaded: Load) -> None:
    with pytest.raises(SettingsError, match=r"apiKey.*--secret apiKey.*allowUnauthenticated"):
        loaded({"bindAddress": "0.0.0.0", "grafanaAdminPassword": "own"})


def test_a_key_that_the_proxy_would_refuse_is_refused_and_not_repeated(loaded: Load) -> None:
    with pytest.raises(SettingsError, match="apiKey: each key must have 16 to 256") as caught:
        loaded({"apiKey": "tooshort"})
    assert "tooshort" not in str(caught.value)


def test_ports_of_external_services_do_not_clash(loaded: Load) -> None:
    chosen = loaded({"prometheus": "external", "prometheusUrl": "http://p:9090", "proxyPort": 9090})
    assert chosen.prometheus is ServiceMode.EXTERNAL


def test_every_plain_threshold_is_a_setting() -> None:
    assert "highErrorRatio" in THRESHOLD_NAMES
    assert "timing" not in THRESHOLD_NAMES
