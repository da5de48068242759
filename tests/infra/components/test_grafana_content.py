"""What is written to Grafana, and when."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerts import prometheus as prometheus_rules
from alerts.grafana import rule_groups
from infra.components.grafana_content import GrafanaContentArgs, PrometheusSource, await_access
from infra.grafana_readiness import GrafanaCheck, Login
from infra.settings.mute_timings import MuteTiming
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, GrafanaRules, NotifySeverity, Secret, ServiceMode
from monitoring.thresholds import Thresholds
from tests.infra.certificates import AUTHORITY
from tests.infra.pulumi_mocks import (
    ANNOTATION,
    CONTACT_POINT,
    CONTAINER,
    DASHBOARD,
    DATA_SOURCE,
    FOLDER,
    GRAFANA,
    MUTE_TIMING,
    POLICY,
    RULE_GROUP,
    UNKNOWN,
    VOLUME,
    Deployed,
    deploy,
    tail,
)

WITH_WEBHOOK = Settings(alert_webhook_url=Secret("https://hooks.example.org/x"))
EXTERNAL_PROMETHEUS = Settings(
    prometheus=ServiceMode.EXTERNAL, prometheus_url="https://prometheus.example.org"
)
EXTERNAL = Settings(
    grafana=ServiceMode.EXTERNAL,
    grafana_url="https://grafana.example.org/",
    grafana_token=Secret("glsa_token"),
    alert_webhook_url=Secret("https://hooks.example.org/x"),
)
SOURCE_UID = "mistral-prometheus"


@pytest.fixture(scope="module")
def default() -> Deployed:
    return deploy()


@pytest.fixture(scope="module")
def rules(default: Deployed) -> list[dict[str, Any]]:
    return [rule for group in default.all_inputs(RULE_GROUP).values() for rule in group["rules"]]


def test_grafanas_url_is_known_before_grafana_exists() -> None:
    """An unknown URL would hide all changes of the content in a preview."""
    inputs = deploy(preview=True).inputs(GRAFANA, "grafana-api")
    assert inputs["url"] == "http://localhost:3000"
    assert UNKNOWN not in str(inputs)


def test_the_provider_waits_for_the_container_but_uses_no_output_of_it(default: Deployed) -> None:
    request = default.requests[GRAFANA, "grafana-api"]
    depends_on = {tail(urn) for urn in request.dependencies}
    used = {tail(urn) for item in request.propertyDependencies.values() for urn in item.urns}
    assert (CONTAINER, "grafana-container") in depends_on
    assert not used


def test_a_refused_password_is_not_retried(default: Deployed) -> None:
    assert "401" not in default.inputs(GRAFANA, "grafana-api")["retryStatusCodes"]


def test_content_is_deleted_with_grafanas_volume_and_written_once_grafana_is_ready(
    default: Deployed,
) -> None:
    for (kind, name), request in default.requests.items():
        if not kind.startswith("grafana:"):
            continue
        assert tail(request.deletedWith) == (VOLUME, "grafana-data"), name
        assert tail(request.provider.rpartition("::")[0]) == (GRAFANA, "grafana-api")
        assert list(request.hooks.before_create) == ["grafana-content-ready"]
        assert list(request.hooks.before_update) == ["grafana-content-ready"]


def test_lost_content_is_checked_for_but_not_in_a_preview() -> None:
    assert deploy().confirmed == ["frontier-llm"]
    assert deploy(preview=True).confirmed == []


def test_the_data_source_has_a_fixed_uid_and_the_networks_url(default: Deployed) -> None:
    inputs = default.inputs(DATA_SOURCE, "grafana-content-prometheus")
    assert (inputs["uid"], inputs["url"]) == (SOURCE_UID, "http://prometheus:9090")


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        pytest.param(EXTERNAL, "http://127.0.0.1:9090", id="external Grafana"),
        pytest.param(
            Settings(prometheus=ServiceMode.EXTERNAL, prometheus_url="http://p.example:9090"),
            "http://p.example:9090",
            id="external Prometheus",
        ),
        pytest.param(
            Settings(datasource_url="http://tunnel:1"), "http://tunnel:1", id="own setting"
        ),
    ],
)
def test_the_data_source_can_have_another_url(settings: Settings, url: str) -> None:
    assert deploy(settings).inputs(DATA_SOURCE, "grafana-content-prometheus")["url"] == url


def test_grafana_knows_how_often_prometheus_scrapes() -> None:
    """Rates over four scrapes need it: without it, Grafana assumes 15 s."""
    every_minute = deploy(Settings(scrape_interval_seconds=60))
    encoded = every_minute.inputs(DATA_SOURCE, "grafana-content-prometheus")["jsonDataEncoded"]
    assert json.loads(encoded) == {"httpMethod": "POST", "timeInterval": "60s"}


def test_grafana_logs_in_to_an_external_prometheus(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text(AUTHORITY)
    deployed = deploy(
        replace(
            EXTERNAL_PROMETHEUS,
            prometheus_user="me",
            prometheus_password=Secret("word"),
            prometheus_ca_file=str(authority),
        )
    )
    inputs = deployed.inputs(DATA_SOURCE, "grafana-content-prometheus")
    assert (inputs["basicAuthEnabled"], inputs["basicAuthUsername"]) == (True, "me")
    assert json.loads(inputs["jsonDataEncoded"])["tlsAuthWithCACert"] is True
    assert json.loads(inputs["secureJsonDataEncoded"]) == {
        "basicAuthPassword": "word",
        "tlsCACert": AUTHORITY,
    }


def test_grafana_sends_a_token_to_an_external_prometheus() -> None:
    deployed = deploy(replace(EXTERNAL_PROMETHEUS, prometheus_token=Secret("t0ken")))
    inputs = deployed.inputs(DATA_SOURCE, "grafana-content-prometheus")
    assert inputs["httpHeaders"] == {"Authorization": "Bearer t0ken"}
    assert "basicAuthEnabled" not in inputs


def test_a_data_source_that_grafana_has_is_used_and_not_changed() -> None:
    deployed = deploy(replace(EXTERNAL, datasource_uid="own-source"))
    (dashboard,) = deployed.all_inputs(DASHBOARD).values()
    chosen = json.loads(dashboard["configJson"])["templating"]["list"][0]["current"]["value"]
    queried = {
        step["datasourceUid"]
        for group in deployed.all_inputs(RULE_GROUP).values()
        for rule in group["rules"]
        for step in rule["datas"]
    }
    assert not deployed.of(DATA_SOURCE)
    assert chosen == "own-source"
    assert queried == {"own-source", "__expr__"}
    assert deployed.outputs["datasourceUid"] == "own-source"


def test_the_rules_can_be_left_to_prometheus_alone() -> None:
    deployed = deploy(Settings(grafana_rules=GrafanaRules.NONE))
    assert not deployed.of(RULE_GROUP)
    assert deployed.of(DASHBOARD)
    assert "MistralDown" in str(deployed.files("prometheus-container"))


@pytest.mark.parametrize(
    ("uid", "rules", "asked"),
    [
        pytest.param("", True, ["ready", "data sources, rules"], id="all"),
        pytest.param("own", True, ["ready", "rules", "has own"], id="own data source"),
        pytest.param("", False, ["ready", "data sources"], id="no rules"),
    ],
)
def test_what_the_login_needs_is_checked_before_anything_is_written(
    uid: str,
    rules: bool,  # noqa: FBT001 - of a table
    asked: list[str],
) -> None:
    checks: list[str] = []

    class Recorded(GrafanaCheck):
        def await_ready(self, _timeout_seconds: float = 0) -> None:
            checks.append("ready")

        def require_datasource(self, uid: str) -> None:
            checks.append(f"has {uid}")

        def require_access(self, *, data_sources: bool, rules: bool) -> None:
            needed = {"data sources": data_sources, "rules": rules}
            checks.append(", ".join(name for name, is_needed in needed.items() if is_needed))

    await_access(
        GrafanaContentArgs(
            source=PrometheusSource("http://p", 15, existing_uid=uid),
            dashboard="{}",
            rule_groups=rule_groups(Thresholds(), SOURCE_UID) if rules else (),
            owns_policies=True,
            check=Recorded("http://g", Login("admin", "x", "")),
            deployed={},
        )
    )
    assert checks == asked


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        pytest.param(Settings(), [], id="on the network"),
        pytest.param(
            Settings(
                prometheus=ServiceMode.EXTERNAL,
                prometheus_url="http://localhost:9090",
                datasource_url="http://host.docker.internal:9090",
            ),
            [{"host": "host.docker.internal", "ip": "host-gateway"}],
            id="on the Docker host",
        ),
    ],
)
def test_grafana_reaches_a_prometheus_on_the_docker_host_by_name(
    settings: Settings, hosts: list[dict[str, str]]
) -> None:
    assert deploy(settings).inputs(CONTAINER, "grafana-container").get("hosts", []) == hosts


def test_the_dashboard_has_its_own_uid_and_nothing_of_another_grafana(default: Deployed) -> None:
    inputs = default.inputs(DASHBOARD, "grafana-content-overview")
    dashboard = json.loads(inputs["configJson"])
    assert dashboard["uid"] == "mistral-metrics"
    assert dashboard.get("id") is None
    assert not dashboard.get("version")
    assert inputs["folder"] == default.inputs(FOLDER, "grafana-content-folder")["uid"]
    uids = set(re.findall(r'"uid": "([^"]+)"', inputs["configJson"]))
    assert uids <= {"mistral-metrics", SOURCE_UID, "${datasource}", "-- Grafana --", "grafana"}


def test_each_new_container_is_annotated_and_the_dashboard_shows_it(default: Deployed) -> None:
    """The program sets no time, which would differ in each preview; Grafana does."""
    dashboard = json.loads(default.inputs(DASHBOARD, "grafana-content-overview")["configJson"])
    (tags,) = (
        annotation["target"]["tags"]
        for annotation in dashboard["annotations"]["list"]
        if annotation["name"] == "Deployments"
    )
    annotations = default.all_inputs(ANNOTATION)
    assert {name: inputs["text"] for name, inputs in annotations.items()} == {
        "grafana-content-deployed-engine": "engine deployed (container engine-conta)",
        "grafana-content-deployed-proxy": "proxy deployed (container proxy-contai)",
        "grafana-content-deployed-prometheus": "prometheus deployed (container prometheus-c)",
    }
    for name, inputs in annotations.items():
        request = default.requests[ANNOTATION, name]
        assert inputs["tags"] == tags
        assert "time" not in inputs
        assert (list(request.replaceOnChanges), request.retainOnDelete) == (["text"], True)


def test_an_external_engine_and_prometheus_are_not_annotated() -> None:
    settings = Settings(
        engine=EngineMode.EXTERNAL,
        mistral_url="http://engine.example:8080",
        prometheus=ServiceMode.EXTERNAL,
        prometheus_url="http://p.example:9090",
    )
    assert list(deploy(settings).all_inputs(ANNOTATION)) == ["grafana-content-deployed-proxy"]


def test_every_rule_fires_if_its_query_returns_any_series(rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        query, math, threshold = rule["datas"]
        assert rule["condition"] == "C"
        assert [step["refId"] for step in rule["datas"]] == ["A", "B", "C"]
        assert query["datasourceUid"] == SOURCE_UID
        assert query["relativeTimeRange"] == {"from": 600, "to": 0}
        for step in (math, threshold):
            assert step["datasourceUid"] == "__expr__"
            assert step["relativeTimeRange"] == {"from": 0, "to": 0}
        for step in rule["datas"]:
            assert json.loads(step["model"])["refId"] == step["refId"]


def test_rules_have_uids_of_their_own_and_are_ok_without_data(rules: list[dict[str, Any]]) -> None:
    uids = [rule["uid"] for rule in rules]
    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40
    assert {rule["noDataState"] for rule in rules} == {"OK"}
    assert {rule["execErrState"] for rule in rules} <= {"Error", "KeepLast"}


def test_grafana_accepts_the_intervals_of_the_rules(default: Deployed) -> None:
    for group in default.all_inputs(RULE_GROUP).values():
        assert group["intervalSeconds"] % 10 == 0
        waits = {_seconds(rule["for"]) for rule in group["rules"]}
        assert all(wait == 0 or wait >= group["intervalSeconds"] for wait in waits)


def test_grafana_has_the_alerts_that_prometheus_has(rules: list[dict[str, Any]]) -> None:
    text = prometheus_rules.render(Settings().alert_thresholds)
    groups = yaml.safe_load(text)["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    assert alerts == {rule["name"] for rule in rules}


def test_an_older_grafana_gets_only_the_fields_that_it_knows() -> None:
    deployed = deploy(Settings(grafana_rules=GrafanaRules.BEFORE_12))
    for group in deployed.all_inputs(RULE_GROUP).values():
        assert {rule["execErrState"] for rule in group["rules"]} <= {"OK", "Error"}


def test_nothing_is_sent_if_no_receiver_is_set(default: Deployed) -> None:
    assert not default.of(CONTACT_POINT)
    assert not default.of(POLICY)


def test_every_receiver_that_is_set_gets_the_alerts() -> None:
    deployed = deploy(
        Settings(
            alert_webhook_url=Secret("https://hooks.example.org/x"),
            alert_slack_url=Secret("https://slack.example.org/y"),
            alert_emails="a@example.org, b@example.org",
            smtp_host="mail.example.org:25",
        )
    )
    point = deployed.inputs(CONTACT_POINT, "grafana-content-contact-point")
    assert [item["url"] for item in point["webhooks"]] == ["https://hooks.example.org/x"]
    assert [item["url"] for item in point["slacks"]] == ["https://slack.example.org/y"]
    assert [item["addresses"] for item in point["emails"]] == [["a@example.org", "b@example.org"]]


def policies(deployed: Deployed) -> dict[str, dict[str, Any]]:
    """Return the nested policies by the severity that they are for."""
    nested = deployed.inputs(POLICY, "grafana-content-policy")["policies"]
    for policy in nested:
        ((matcher),) = policy["matchers"]
        assert (matcher["label"], matcher["match"]) == ("severity", "=")
    return {policy["matchers"][0]["value"]: policy for policy in nested}


def test_the_policy_uses_the_contact_point_and_sends_critical_alerts_first() -> None:
    deployed = deploy(WITH_WEBHOOK)
    name = deployed.inputs(CONTACT_POINT, "grafana-content-contact-point")["name"]
    policy = deployed.inputs(POLICY, "grafana-content-policy")
    critical = policies(deployed)["critical"]
    assert (policy["contactPoint"], critical["contactPoint"]) == (name, name)
    assert policy["groupBies"] == ["grafana_folder", "service"]
    assert (critical["groupWait"], policy["groupWait"]) == ("10s", "30s")


@pytest.mark.parametrize(
    ("lowest", "not_sent"),
    [
        (NotifySeverity.CRITICAL, {"warning", "info"}),
        (NotifySeverity.WARNING, {"info"}),
        (NotifySeverity.INFO, set()),
    ],
)
@pytest.mark.parametrize("settings", [WITH_WEBHOOK, EXTERNAL], ids=["managed", "external"])
def test_alerts_below_the_lowest_severity_are_shown_and_never_sent(
    settings: Settings, lowest: NotifySeverity, not_sent: set[str]
) -> None:
    deployed = deploy(replace(settings, notify_severity=lowest))
    muted = muted_by(deployed)
    assert {severity for severity, names in muted.items() if names} == not_sent
    if not_sent:
        ((name),) = {name for names in muted.values() for name in names}
        (timing,) = deployed.all_inputs(MUTE_TIMING).values()
        assert timing["name"] == name
        assert timing["intervals"][0]["times"] == [{"start": "00:00", "end": "24:00"}]
        assert "weekdays" not in timing["intervals"][0]
    else:
        assert not deployed.of(MUTE_TIMING)


def muted_by(deployed: Deployed) -> dict[str, list[str]]:
    """Return the names of the mute timings for each severity, in a managed or external Grafana."""
    if deployed.of(POLICY):
        nested = policies(deployed)
        return {
            severity: nested.get(severity, {}).get("muteTimings", [])
            for severity in ("critical", "warning", "info")
        }
    return {
        rule["labels"]["severity"]: rule["notificationSettings"].get("muteTimings", [])
        for group in deployed.all_inputs(RULE_GROUP).values()
        for rule in group["rules"]
    }


def test_by_default_info_wakes_nobody() -> None:
    assert muted_by(deploy(WITH_WEBHOOK)) == {
        "critical": [],
        "warning": [],
        "info": ["Frontier LLM not sent"],
    }


@pytest.mark.parametrize("settings", [WITH_WEBHOOK, EXTERNAL], ids=["managed", "external"])
def test_mute_timings_are_created_or_exist_and_mute_the_severities_that_they_name(
    settings: Settings,
) -> None:
    timings = (
        MuteTiming("Nights", times=(("22:00", "24:00"),), location="Europe/Paris"),
        MuteTiming("Sundays", weekdays=("sunday",), severities=("warning", "info")),
        MuteTiming("Ours", severities=("warning",)),
    )
    deployed = deploy(
        replace(settings, notify_severity=NotifySeverity.INFO, alert_mute_timings=timings)
    )
    assert muted_by(deployed) == {
        "critical": ["Nights"],
        "warning": ["Nights", "Sundays", "Ours"],
        "info": ["Nights", "Sundays"],
    }
    created = {timing["name"]: timing for timing in deployed.all_inputs(MUTE_TIMING).values()}
    assert {name: timing["intervals"] for name, timing in created.items()} == {
        "Nights": [{"times": [{"start": "22:00", "end": "24:00"}], "location": "Europe/Paris"}],
        "Sundays": [{"weekdays": ["sunday"], "location": "UTC"}],
    }


def test_nothing_is_muted_if_no_receiver_is_set(default: Deployed) -> None:
    assert not default.of(MUTE_TIMING)


def test_an_external_grafana_is_provisioned_by_token_and_keeps_its_own_policies() -> None:
    """Grafana has one tree of policies: writing ours would delete its owner's."""
    deployed = deploy(EXTERNAL)
    provider = deployed.inputs(GRAFANA, "grafana-api")
    (rule, *_) = deployed.inputs(RULE_GROUP, "grafana-content-rules-mistral")["rules"]
    assert (provider["url"], provider["auth"]) == ("https://grafana.example.org", "glsa_token")
    assert not deployed.of(POLICY)
    assert rule["notificationSettings"]["contactPoint"] == "Frontier LLM"
    # Grafana demands both of a rule that names its contact point.
    assert {"alertname", "grafana_folder"} <= set(rule["notificationSettings"]["groupBies"])
    assert "grafana-container" not in deployed.of(CONTAINER)
    assert deployed.outputs["grafanaUrl"] == "https://grafana.example.org"
    assert deployed.outputs["dashboardUrl"] == "https://grafana.example.org/d/mistral-metrics"


def test_alerts_and_dashboard_link_to_the_runbooks_if_those_are_published() -> None:
    base = "https://docs.example.org/runbooks"
    deployed = deploy(Settings(runbook_base_url=base))

    in_grafana = [
        rule["annotations"]["runbook_url"]
        for group in deployed.all_inputs(RULE_GROUP).values()
        for rule in group["rules"]
    ]
    (prometheus_rule_file,) = (
        text for text in deployed.files("prometheus-container").values() if "groups:" in text
    )
    (dashboard,) = deployed.all_inputs(DASHBOARD).values()
    assert f"{base}/MistralDown.md" in in_grafana
    assert all(url in prometheus_rule_file for url in in_grafana)
    assert base in dashboard["configJson"]


def _seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]
