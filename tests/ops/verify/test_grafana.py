import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from alerts.rules import alerts
from monitoring.thresholds import Thresholds
from ops.report import Outcome
from ops.running.targets import Targets
from ops.verify.grafana import grafana_checks
from tests.ops.local_http import Request, Response, serving

PASSWORD = "not-to-be-shown"
AUTHORIZATION = f"Basic {base64.b64encode(f'admin:{PASSWORD}'.encode()).decode()}"
HEALTHY: dict[str, Any] = {
    "/api/datasources/uid/mistral-prometheus": {
        "name": "Prometheus",
        "type": "prometheus",
        "url": "http://prometheus:9090",
    },
    "/api/ds/query": {"results": {"A": {"frames": [{"data": {"values": [[0], [1]]}}]}}},
    "/api/dashboards/uid/mistral-metrics": {"dashboard": {"title": "Metrics", "panels": [{}]}},
    "/api/v1/provisioning/alert-rules": [{"title": a.name} for a in alerts(Thresholds())],
}


@contextmanager
def grafana(answers: dict[str, Any], password: str | None = PASSWORD) -> Iterator[Targets]:
    def handle(request: Request) -> Response:
        if request.headers.get("Authorization") != AUTHORIZATION:
            return Response(401)
        request.body()
        if request.path not in answers:
            return Response(404)
        return Response(body=json.dumps(answers[request.path]).encode())

    with serving(handle) as url:
        yield Targets("a stand-in", "http://unused", grafana=url, grafana_password=password)


def test_the_provisioned_content_passes() -> None:
    with grafana(HEALTHY) as targets:
        checks = list(grafana_checks(targets))

    assert [check.outcome for check in checks] == [Outcome.PASS] * 4


def test_another_data_source_and_rules_that_are_elsewhere_pass_too() -> None:
    answers = {
        **HEALTHY,
        "/api/datasources/uid/own": {"name": "P", "type": "prometheus", "url": "u"},
    }
    del answers["/api/datasources/uid/mistral-prometheus"]
    del answers["/api/v1/provisioning/alert-rules"]
    with grafana(answers) as targets:
        checks = list(
            grafana_checks(replace(targets, datasource_uid="own", grafana_has_rules=False))
        )

    assert [check.outcome for check in checks] == [*[Outcome.PASS] * 3, Outcome.SKIP]


@pytest.mark.parametrize(
    ("path", "answer", "name"),
    [
        ("/api/datasources/uid/mistral-prometheus", None, "data source exists"),
        ("/api/ds/query", {"results": {"A": {"frames": []}}}, "data source runs queries"),
        ("/api/dashboards/uid/mistral-metrics", None, "dashboard exists"),
        ("/api/v1/provisioning/alert-rules", [], "alert rules exist"),
    ],
)
def test_what_is_missing_fails_only_its_own_check(path: str, answer: object, name: str) -> None:
    answers = {key: value for key, value in HEALTHY.items() if key != path}
    with grafana(answers if answer is None else {**answers, path: answer}) as targets:
        checks = list(grafana_checks(targets))

    assert [check.name for check in checks if check.outcome is Outcome.FAIL] == [name]


def test_a_wrong_password_fails_without_being_shown() -> None:
    with grafana(HEALTHY, password="wrong-one") as targets:
        checks = list(grafana_checks(targets))

    assert {check.outcome for check in checks} == {Outcome.FAIL}
    assert not any("wrong-one" in str(check) for check in checks)


def test_without_a_password_the_checks_are_skipped_and_say_how_to_give_it() -> None:
    with grafana(HEALTHY, password=None) as targets:
        (check,) = grafana_checks(targets)

    assert check.outcome is Outcome.SKIP
    assert "GRAFANA_PASSWORD" in check.hint
