"""What is wrong with a set of settings is refused, in one error, with what to do."""

from typing import Any

import pytest

from infra.settings.reading import SettingsError
from infra.settings.types import ServiceMode
from tests.infra.settings.loading import Load

# A Grafana on another machine.
ELSEWHERE = {
    "grafana": "external",
    "grafanaUrl": "https://grafana.example",
    "grafanaToken": "glsa_x",
}
# Ports that other machines reach.
PUBLIC = {
    "bindAddress": "192.0.2.7",
    "advertisedHost": "box.example",
    "grafanaAdminPassword": "own",
    "allowUnauthenticated": "true",
}


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
        ({"mistralUrl": "ftp://x"}, "mistralUrl: 'ftp://x' is not accepted; expected an http URL"),
        ({"mistralUrl": "http://x:99999"}, "mistralUrl: 'http://x:99999' is not accepted"),
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
        (
            {"modelDetails": '{"m": {"colour": "red"}}'},
            "expected a JSON object that maps an engine id to",
        ),
        ({"scrapeIntervalSeconds": 0}, "scrapeIntervalSeconds: 0 is not in the range 1 to 120"),
        ({"scrapeIntervalSeconds": 300}, "scrapeIntervalSeconds: 300 is not in the range"),
        (
            {"scrapeIntervalSeconds": 60, "alertThresholds": '{"noRequestsMinutes": 3}'},
            "noRequestsMinutes is 3, but the proxy is scraped every 60 s",
        ),
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
        ({"datasourceUid": "x"}, "datasourceUid: the stack's own Grafana has only"),
        ({**ELSEWHERE, "datasourceUid": "a/b"}, "datasourceUid: 'a/b' is not a uid"),
        ({"prometheusUser": "me"}, "prometheusUser: set it together with prometheusPassword"),
        ({"prometheusPassword": "x"}, "prometheusUser: set it together with"),
        ({"prometheusUser": "a:b", "prometheusPassword": "x"}, "has a colon"),
        (
            {"prometheusUser": "a", "prometheusPassword": "x", "prometheusToken": "y"},
            "prometheusToken: set either this or prometheusUser",
        ),
        ({"prometheusCaFile": "/nowhere/ca.pem"}, "'/nowhere/ca.pem' has no certificates in PEM"),
        ({"prometheusCaFile": "Pulumi.yaml"}, "'Pulumi.yaml' has no certificates in PEM format"),
        ({"prometheusCaFile": "infra/__init__.py"}, "no certificates in PEM format"),
        (
            {"grafanaRules": "none", "alertWebhookUrl": "https://hooks.example.org/x"},
            "grafanaRules: without rules, Grafana sends no alerts",
        ),
        ({**ELSEWHERE, "bindAddress": "0.0.0.0"}, "datasourceUrl: Prometheus is on this"),
        ({**ELSEWHERE, "advertisedHost": "box.example"}, "datasourceUrl: Prometheus is on this"),
        ({**ELSEWHERE, "bindAddress": "192.0.2.7"}, "set prometheusBindAddress and advertisedHost"),
        (
            {**ELSEWHERE, "prometheus": "external", "prometheusUrl": "http://localhost:9090"},
            "datasourceUrl: Prometheus is on this machine's loopback",
        ),
        ({"dockerHost": "ssh://me@box"}, "advertisedHost: dockerHost is another machine"),
        (
            {"dockerHost": "tcp://192.0.2.7:2376", "bindAddress": "0.0.0.0"},
            "advertisedHost: dockerHost is another machine",
        ),
        (
            {**PUBLIC, "dockerHost": "tcp://192.0.2.7:2376"},
            "prometheusBindAddress: dockerHost is another machine",
        ),
        ({"proxyPort": 3000}, "proxyPort and grafanaPort: have the same port 3000"),
        ({"proxyPort": 0}, "proxyPort: 0 is not a port"),
        ({"proxyPort": "eleven"}, "proxyPort: 'eleven' is not a whole number"),
        ({"protectData": "yes"}, "protectData: 'yes' is not true or false"),
        ({"gpus": "all"}, "gpus: mistralrsImage is a CPU image"),
        (
            {"gpus": "all", "mistralrsImage": f"box:5000/mistral.rs:cpu-0.9.4@sha256:{'a' * 64}"},
            "gpus: mistralrsImage is a CPU image",
        ),
        ({"gpus": "all", "engine": "embedded"}, "gpus: the embedded engine uses the CPU only"),
        ({"gpus": "device="}, "gpus: must be none, all, a number of GPUs such as 2, or a list"),
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
        ({"pythonImage": "python"}, "pythonImage: 'python' is not an image with an exact version"),
        ({"platform": "arm"}, "platform: 'arm' is not a platform"),
        (
            {"model": "./tiny"},
            "model: give the folder's absolute path instead of './tiny'",
        ),
        ({"quantization": "4 bits"}, "quantization: '4 bits' is not one of auto, 2, 3"),
        (
            {"maxConcurrentRequests": 0},
            "maxConcurrentRequests: '0' is not accepted; expected whole numbers, 1 to",
        ),
        (
            {"maxQueuedRequests": -1},
            "maxQueuedRequests: '-1' is not accepted; expected whole numbers, 0 to",
        ),
        ({"engineMemoryMb": 0}, "engineMemoryMb: 0 is not from 6 to"),
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
        {**ELSEWHERE, "prometheusBindAddress": "192.0.2.7"},
        {"dockerHost": "ssh://me@box", "advertisedHost": "127.0.0.1"},
        {**PUBLIC, "dockerHost": "ssh://me@box", "prometheusBindAddress": "192.0.2.7"},
        {**PUBLIC, "dockerHost": "ssh://me@box", "prometheusBindAddress": "127.0.0.1"},
        {
            **PUBLIC,
            "dockerHost": "ssh://me@box",
            "prometheus": "external",
            "prometheusUrl": "http://p.example:9090",
        },
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


@pytest.mark.parametrize(
    "access", [{"apiKey": "0123456789abcdef"}, {"allowUnauthenticated": "true"}]
)
def test_a_public_address_is_accepted_with_a_new_password_and_a_key_or_allow_unauthenticated(
    loaded: Load, access: dict[str, str]
) -> None:
    chosen = loaded({"bindAddress": "0.0.0.0", "grafanaAdminPassword": "own", **access})
    assert chosen.host == "127.0.0.1"


def test_a_public_address_needs_a_key_and_the_error_names_both_remedies(loaded: Load) -> None:
    with pytest.raises(SettingsError, match=r"apiKey.*--secret apiKey.*allowUnauthenticated"):
        loaded({"bindAddress": "0.0.0.0", "grafanaAdminPassword": "own"})


def test_a_key_that_the_proxy_would_refuse_is_refused_and_not_repeated(loaded: Load) -> None:
    with pytest.raises(
        SettingsError, match=r"apiKey: the value is not accepted; .*each 16 to 256"
    ) as caught:
        loaded({"apiKey": "tooshort"})
    assert "tooshort" not in str(caught.value)


def test_ports_of_external_services_do_not_clash(loaded: Load) -> None:
    chosen = loaded({"prometheus": "external", "prometheusUrl": "http://p:9090", "proxyPort": 9090})
    assert chosen.prometheus is ServiceMode.EXTERNAL
