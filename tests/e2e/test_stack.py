"""A real ``pulumi up`` on Docker, and what users then do with the stack."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from infra.components.grafana_content import FOLDER_UID
from tests.e2e.conftest import with_ports
from tests.e2e.harness import (
    Stack,
    container_ids,
    docker,
    eventually,
    fetch,
    fetch_text,
    inspect,
    new_stack,
)

pytestmark = pytest.mark.e2e

PROXY = "frontier-mistral-ollama-proxy"
PROMETHEUS = "frontier-prometheus"
GRAFANA = "frontier-grafana"
ENGINE = "frontier-mistral"
DATA_SOURCE = "mistral-prometheus"


@contextmanager
def edited(file: Path, change: Callable[[str], str]) -> Iterator[None]:
    """Change a file of the copied project until the block ends."""
    original = file.read_text(encoding="utf-8")
    changed = change(original)
    assert changed != original
    file.write_text(changed, encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(original, encoding="utf-8")


def test_every_container_is_healthy_after_up(running: Stack) -> None:
    states = {name: inspect(name)["State"]["Health"]["Status"] for name in _names(running)}
    assert states == dict.fromkeys(
        map(running.container, (ENGINE, PROXY, PROMETHEUS, GRAFANA)), "healthy"
    )


def test_a_preview_after_up_and_after_a_refresh_shows_no_changes(running: Stack) -> None:
    assert running.planned() == {}
    running.pulumi("refresh", "--yes", "--skip-preview", "--expect-no-changes")
    assert running.planned() == {}


def test_a_chat_shows_in_the_metrics_in_prometheus_and_through_grafana(running: Stack) -> None:
    outputs = running.outputs()
    model = fetch(f"{outputs['proxyUrl']}/api/tags")["models"][0]["name"]
    before = _requests_counted(outputs)
    response = fetch(f"{outputs['proxyUrl']}/api/chat", _question(model))
    assert response["done"] is True
    assert response["message"]["content"]
    after = before + 1
    assert _requests_counted(outputs) == after
    expr = 'sum(mistral_http_requests_total{endpoint="chat",status="success"})'
    eventually(lambda: _value(_query_prometheus(outputs, expr)) == after)
    eventually(lambda: _query_grafana(outputs, expr) == after)


def test_prometheus_scrapes_every_member(running: Stack) -> None:
    targets = eventually(lambda: _all_up(running.outputs()))
    assert targets == {"mistral", "mistralrs", "prometheus", "grafana"}


def test_prometheus_has_loaded_the_rules(running: Stack) -> None:
    groups = fetch(f"{running.outputs()['prometheusUrl']}/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert "MistralDown" in {rule["name"] for rule in rules}
    assert not [rule for rule in rules if rule.get("lastError")]


def test_grafana_has_the_folder_the_dashboard_and_the_rules(running: Stack) -> None:
    outputs = running.outputs()
    assert _grafana(outputs, f"/api/folders/{FOLDER_UID}")["uid"] == FOLDER_UID
    dashboard = _grafana(outputs, "/api/dashboards/uid/mistral-metrics")
    assert dashboard["dashboard"]["title"] == "Mistral.rs Metrics"
    rules = _grafana(outputs, "/api/v1/provisioning/alert-rules")
    assert "MistralDown" in {rule["title"] for rule in rules}


def test_no_secret_is_in_the_state_or_shown_by_docker(running: Stack) -> None:
    password = running.outputs()["grafanaAdminPassword"]
    described = "".join(docker("inspect", name) for name in _names(running))
    assert password not in described
    exported = running.pulumi("stack", "export")
    # The default is in Pulumi.yaml; the state has it encrypted.
    assert f'"{password}"' not in exported


def test_an_edited_alert_changes_only_the_rules_and_loses_no_sample(running: Stack) -> None:
    outputs = running.outputs()
    now = str(_query_prometheus(outputs, "time()")[1])
    ids = container_ids(running.name)
    with edited(running.folder / "alerts/latency.py", _reword_an_alert):
        planned = running.planned()
        assert planned.pop("prometheus-container-files") == "replace"
        assert planned.pop("prometheus-container") == "replace"
        assert planned.pop("grafana-content-deployed-prometheus") == "replace"
        assert set(planned.values()) == {"update"}
        assert all(name.startswith("grafana-content-rules") for name in planned)
        running.up()
        assert _changed(ids, running) == {running.container(PROMETHEUS)}
        assert _query_prometheus(outputs, "up", at=now)
    running.up()


def test_edited_proxy_code_replaces_only_the_proxy(running: Stack) -> None:
    ids = container_ids(running.name)
    with edited(
        running.folder / "proxy_service/settings/values.py", lambda text: f"{text}\n# edited\n"
    ):
        planned = running.planned()
        assert planned == {
            "proxy-image": "update",
            "proxy-container": "replace",
            "grafana-content-deployed-proxy": "replace",
        }
        running.up()
        assert _changed(ids, running) == {running.container(PROXY)}
        assert running.planned() == {}
    running.up()


def test_a_changed_health_check_is_applied(running: Stack) -> None:
    def interval() -> int:
        return int(inspect(running.container(PROXY))["Config"]["Healthcheck"]["Interval"])

    before = interval()
    component = running.folder / "infra/components/proxy.py"
    with edited(component, lambda text: _with_health_check(text, ", interval_seconds=7")):
        running.up()
        assert interval() == 7_000_000_000 != before
    running.up()
    assert interval() == before


def test_a_broken_health_check_fails_up_and_a_fixed_one_replaces_the_container(
    running: Stack,
) -> None:
    component = running.folder / "infra/components/proxy.py"
    up = ("pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", running.name)
    with edited(component, lambda text: text.replace("proxy_service.healthcheck", "no.such")):
        for _ in range(2):  # a second run must not succeed by finding nothing to do
            failed = running.run(*up)
            assert failed.returncode != 0
            assert "failed to be in healthy state" in failed.stdout + failed.stderr
    unhealthy = container_ids(running.name)
    running.up()
    assert _changed(unhealthy, running) == {running.container(PROXY)}
    assert inspect(running.container(PROXY))["State"]["Health"]["Status"] == "healthy"


@pytest.mark.parametrize("name", [PROXY, PROMETHEUS, GRAFANA])
def test_make_up_creates_a_container_again_that_was_removed_by_hand(
    running: Stack, name: str
) -> None:
    docker("rm", "--force", running.container(name))
    running.operate("up")
    assert inspect(running.container(name))["State"]["Health"]["Status"] == "healthy"
    assert running.planned() == {}


def test_a_stopped_container_is_started_again_by_make_up(running: Stack) -> None:
    docker("stop", running.container(PROMETHEUS))
    running.operate("up")
    eventually(lambda: inspect(running.container(PROMETHEUS))["State"]["Running"])


def test_a_preview_needs_no_grafana(running: Stack) -> None:
    docker("stop", running.container(GRAFANA))
    try:
        assert running.planned() == {}
    finally:
        docker("start", running.container(GRAFANA))
    eventually(lambda: fetch(f"{running.outputs()['grafanaUrl']}/api/health"))


def test_bad_settings_are_all_named_at_preview(running: Stack) -> None:
    bad = {"engine": "llama", "proxyPort": "http", "prometheusRetention": "long", "gpus": "some"}
    original = (running.folder / f"Pulumi.{running.name}.yaml").read_text(encoding="utf-8")
    try:
        for setting, value in bad.items():
            running.pulumi("config", "set", setting, value)
        running.pulumi("config", "set", "bindAddress", "192.0.2.1")
        failed = running.run("pulumi", "preview", "--non-interactive", "--stack", running.name)
        assert failed.returncode != 0
        for setting in (*bad, "grafanaAdminPassword"):
            assert f"- {setting}: " in failed.stdout + failed.stderr
        assert "Traceback" not in failed.stdout + failed.stderr
    finally:
        (running.folder / f"Pulumi.{running.name}.yaml").write_text(original, encoding="utf-8")


def test_a_second_stack_can_be_created_and_removed_beside_the_first(
    running: Stack, base_settings: dict[str, str], tmp_path: Path
) -> None:
    """Even if its Grafana was removed by hand; ``make down`` names the volumes that it keeps."""
    ids = container_ids(running.name)
    with new_stack(tmp_path, with_ports(base_settings)) as second:
        second.up()
        assert second.planned() == {}
        docker("rm", "--force", second.container(GRAFANA))
        output = second.operate("down")
        assert second.container("frontier-prometheus-data") in output
        assert container_ids(second.name) == {}
        left = docker("volume", "ls", "--format", "{{.Name}}", "--filter", f"name={second.name}")
        assert set(left.split()) == {
            second.container("frontier-prometheus-data"),
            second.container("frontier-embedded-cache"),
        }
        second.up()  # uses the volumes that were kept
    assert container_ids(running.name) == ids
    assert running.planned() == {}


def _names(running: Stack) -> list[str]:
    return list(container_ids(running.name))


def _changed(before: dict[str, str], running: Stack) -> set[str]:
    after = container_ids(running.name)
    assert after.keys() == before.keys()
    return {name for name, identity in after.items() if before[name] != identity}


def _reword_an_alert(text: str) -> str:
    return text.replace('summary="', 'summary="Edited: ', 1)


def _with_health_check(text: str, more: str) -> str:
    return text.replace('"proxy_service.healthcheck")', f'"proxy_service.healthcheck"){more}')


def _question(model: str) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": False,
        "options": {"num_predict": 8},
    }


def _requests_counted(outputs: dict[str, str]) -> float:
    """Return the number of successful chats that the proxy has counted."""
    lines = fetch_text(outputs["metricsUrl"]).splitlines()
    return sum(
        float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith("mistral_http_requests_total{")
        and 'endpoint="chat"' in line
        and 'status="success"' in line
    )


def _query_prometheus(outputs: dict[str, str], expr: str, *, at: str | None = None) -> list[Any]:
    moment = {} if at is None else {"time": at}
    parameters = urlencode({"query": expr, **moment})
    response = fetch(f"{outputs['prometheusUrl']}/api/v1/query?{parameters}")
    return list(response["data"]["result"])


def _query_grafana(outputs: dict[str, str], expr: str) -> float | None:
    """Query through the data source, as a panel does."""
    query = {
        "refId": "A",
        "datasource": {"type": "prometheus", "uid": DATA_SOURCE},
        "expr": expr,
        "instant": True,
        "range": False,
    }
    body = {"queries": [query], "from": "now-5m", "to": "now"}
    frames = _grafana(outputs, "/api/ds/query", body)["results"]["A"]["frames"]
    return float(frames[0]["data"]["values"][1][-1]) if frames else None


def _grafana(outputs: dict[str, str], path: str, body: object | None = None) -> Any:  # noqa: ANN401 - JSON
    login = (outputs["grafanaUser"], outputs["grafanaAdminPassword"])
    return fetch(f"{outputs['grafanaUrl']}{path}", body, login=login)


def _value(result: list[Any]) -> float | None:
    return float(result[0]["value"][1]) if result else None


def _all_up(outputs: dict[str, str]) -> set[str]:
    response = fetch(f"{outputs['prometheusUrl']}/api/v1/targets?state=active")
    targets = response["data"]["activeTargets"]
    up = {target["labels"]["job"] for target in targets if target["health"] == "up"}
    return up if len(up) == len(targets) else set()
