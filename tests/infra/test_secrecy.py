"""No secret leaves the program unwrapped, or is where ``docker inspect`` shows it."""

from collections.abc import Iterator
from dataclasses import replace

import pulumi
import pytest

from infra.settings.schema import Settings
from infra.settings.types import Secret, ServiceMode
from tests.infra.pulumi_mocks import CONTAINER, IMAGE, SECRET_MARK, Deployed, deploy

SECRETS = {
    "hf_token": "hf-secret-1",
    "grafana_admin_password": "grafana-secret-2",
    "alert_webhook_url": "https://hooks.example.org/secret-3",
    "alert_slack_url": "https://hooks.example.org/secret-4",
    "smtp_password": "smtp-secret-5",
    "api_key": "api-key-secret-7",
}
CHOSEN = Settings(
    hf_token=Secret(SECRETS["hf_token"]),
    grafana_admin_password=Secret(SECRETS["grafana_admin_password"]),
    alert_webhook_url=Secret(SECRETS["alert_webhook_url"]),
    alert_slack_url=Secret(SECRETS["alert_slack_url"]),
    smtp_password=Secret(SECRETS["smtp_password"]),
    api_key=Secret(SECRETS["api_key"]),
    alert_emails="a@example.org",
    smtp_host="mail.example.org:25",
)
EXTERNAL = Settings(
    grafana=ServiceMode.EXTERNAL,
    grafana_url="https://grafana.example.org",
    grafana_token=Secret("token-secret-6"),
)
PROMETHEUS = Settings(prometheus=ServiceMode.EXTERNAL, prometheus_url="https://p.example.org")


@pytest.fixture(scope="module")
def deployed() -> Deployed:
    return deploy(CHOSEN)


@pytest.mark.parametrize("text", SECRETS.values())
def test_every_secret_is_used_and_always_wrapped(deployed: Deployed, text: str) -> None:
    everything = [inputs for _, inputs in deployed.raw_inputs()]
    assert text in str(everything)
    assert not [shown for shown in _shown(everything) if text in shown]


def test_the_token_of_an_external_grafana_is_a_secret() -> None:
    everything = [inputs for _, inputs in deploy(EXTERNAL).raw_inputs()]
    assert "token-secret-6" in str(everything)
    assert not [shown for shown in _shown(everything) if "token-secret-6" in shown]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"prometheus_user": "me", "prometheus_password": Secret("secret-8")}, "secret-8"),
        ({"prometheus_token": Secret("secret-9")}, "Bearer secret-9"),
    ],
    ids=["password", "token"],
)
def test_the_credentials_of_an_external_prometheus_are_secret(
    given: dict[str, str | Secret], sent: str
) -> None:
    deployed = deploy(replace(PROMETHEUS, **given))  # type: ignore[arg-type]  # names are the fields'
    everything = [inputs for _, inputs in deployed.raw_inputs()]
    assert sent in str(everything)
    assert not [shown for shown in _shown(everything) if "secret-" in shown]
    exported = deployed.outputs["prometheusAuthorization"]
    assert pulumi.runtime.sync_await._sync_await(exported.is_secret())  # noqa: SLF001  same


def test_containers_get_secrets_as_files_and_in_no_other_way(deployed: Deployed) -> None:
    """``docker inspect`` shows all inputs of a container but the content of its files."""
    containers = deployed.all_inputs(CONTAINER)
    contents = [
        upload.pop("content")
        for inputs in containers.values()
        for upload in inputs.get("uploads", [])
    ]
    for_containers = [
        SECRETS[name] for name in ("hf_token", "grafana_admin_password", "smtp_password", "api_key")
    ]
    assert [text for text in for_containers if text not in contents] == []
    assert [text for text in SECRETS.values() if text in str(containers)] == []


def test_images_are_built_without_secrets(deployed: Deployed) -> None:
    assert [text for text in SECRETS.values() if text in str(deployed.all_inputs(IMAGE))] == []


def test_the_proxys_keys_are_files_only_where_they_are_needed(deployed: Deployed) -> None:
    """Prometheus gets the key for the metrics, and not the one for the API."""
    key, metrics_key = CHOSEN.api_key.value, CHOSEN.metrics_key.value
    held = {
        upload["file"]: upload["content"]
        for inputs in deployed.all_inputs(CONTAINER).values()
        for upload in inputs.get("uploads", [])
        if key in upload["content"] or metrics_key in upload["content"]
    }
    proxy = deployed.inputs(CONTAINER, "proxy-container")

    assert held == {
        "/run/secrets/api-key": key,
        "/run/secrets/metrics-key": metrics_key,
        "/etc/prometheus/proxy-metrics-key": metrics_key,
    }
    assert "API_KEY_FILE=/run/secrets/api-key" in proxy["envs"]
    assert "METRICS_KEY_FILE=/run/secrets/metrics-key" in proxy["envs"]
    assert "ALLOW_UNAUTHENTICATED=true" not in proxy["envs"]
    assert "credentials_file: /etc/prometheus/proxy-metrics-key" in str(
        deployed.all_inputs(CONTAINER)
    )


def test_what_is_exported_of_secrets_stays_secret(deployed: Deployed) -> None:
    exported = dict(deployed.outputs)
    for name in ("grafanaAdminPassword", "apiKey", "metricsKey", "prometheusAuthorization"):
        secret = exported.pop(name).is_secret()
        assert pulumi.runtime.sync_await._sync_await(secret)  # noqa: SLF001  as in `pulumi.runtime.test`
    assert not [text for text in SECRETS.values() if text in str(exported)]


def test_settings_do_not_print_their_secrets() -> None:
    assert not [text for text in SECRETS.values() if text in repr(CHOSEN)]


def test_grafana_has_no_other_users_and_contacts_no_other_servers(deployed: Deployed) -> None:
    envs = deployed.inputs(CONTAINER, "grafana-container")["envs"]
    assert {
        "GF_USERS_ALLOW_SIGN_UP=false",
        "GF_USERS_ALLOW_ORG_CREATE=false",
        "GF_AUTH_ANONYMOUS_ENABLED=false",
        "GF_PUBLIC_DASHBOARDS_ENABLED=false",
        "GF_SNAPSHOTS_ENABLED=false",
        "GF_SNAPSHOTS_EXTERNAL_ENABLED=false",
        "GF_SECURITY_DISABLE_GRAVATAR=true",
        "GF_ANALYTICS_REPORTING_ENABLED=false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES=false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false",
        "GF_NEWS_NEWS_FEED_ENABLED=false",
        "GF_PLUGINS_PREINSTALL_DISABLED=true",
        "GF_PLUGINS_PLUGIN_ADMIN_ENABLED=false",
        "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED=true",
    } <= set(envs)


def test_prometheus_has_no_admin_api(deployed: Deployed) -> None:
    command = deployed.inputs(CONTAINER, "prometheus-container")["command"]
    assert [word for word in command if word.startswith("--web.enable")] == []


def test_a_web_page_can_neither_read_prometheus_nor_use_up_its_memory(deployed: Deployed) -> None:
    prometheus = deployed.inputs(CONTAINER, "prometheus-container")
    assert {
        "--web.cors.origin=none",
        "--query.max-samples=2000000",
        "--query.max-concurrency=4",
        "--query.timeout=30s",
    } <= set(prometheus["command"])
    assert prometheus["memory"] == 2048


def _shown(value: object) -> Iterator[str]:
    """Yield every text that is not inside a secret."""
    if isinstance(value, dict):
        if SECRET_MARK not in value:
            for item in value.values():
                yield from _shown(item)
    elif isinstance(value, list):
        for item in value:
            yield from _shown(item)
    elif isinstance(value, str):
        yield value
