"""What holds for every alert, in Prometheus and in Grafana."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from alerts.grafana import Rule, rule_groups
from alerts.prometheus import render
from alerts.recordings import recordings
from alerts.rules import alerts
from monitoring.thresholds import Thresholds, Timing

if TYPE_CHECKING:
    from alerts.model import Alert
    from tests.observability.promtool import Promtool

ROOT = Path(__file__).parents[2]
ALERTS = alerts(Thresholds())
SPECIFIED = {
    "MistralDown": "critical",
    "MistralVeryHighLatency": "critical",
    "MistralHighLatency": "warning",
    "MistralHighErrorRate": "warning",
    "MistralHighActiveRequests": "warning",
    "MistralSlowGeneration": "warning",
    "MistralNoRequests": "info",
}

every_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)


def grafana_rules(**options: str) -> dict[str, Rule]:
    groups = rule_groups(Thresholds(), "prometheus-uid", **options)  # type: ignore[arg-type]
    return {rule.title: rule for group in groups for rule in group.rules}


def test_the_seven_specified_alerts_exist_with_their_severity() -> None:
    severities = {alert.name: alert.severity for alert in ALERTS}
    assert {name: severities[name] for name in SPECIFIED} == SPECIFIED


@every_alert
def test_every_alert_has_a_runbook_with_all_its_parts(alert: Alert) -> None:
    text = (ROOT / alert.runbook).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    assert headings == [alert.name, "Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert "```" in text.split("## Diagnosis")[1].split("## Mitigation")[0]


@every_alert
def test_every_summary_is_a_fixed_sentence_and_every_description_has_room_for_advice(
    alert: Alert,
) -> None:
    assert alert.summary.endswith(".")
    assert "{" not in alert.summary
    assert len(alert.description) > 100


def test_every_runbook_has_an_alert() -> None:
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("Mistral*.md")}
    assert pages == {alert.name for alert in ALERTS}


@every_alert
def test_every_alert_is_tested_firing_and_silent(alert: Alert) -> None:
    cases = (ROOT / "tests" / "observability" / "test_alert_behaviour.py").read_text("utf-8")
    assert re.search(rf'\bfires\(\s*"{alert.name}"', cases)
    assert re.search(rf'\bsilent\(\s*"{alert.name}"', cases)


def test_alerts_have_a_runbook_url_only_if_a_base_url_is_set() -> None:
    assert "runbook_url" not in render(Thresholds())
    text = render(Thresholds(), runbook_base_url="https://docs.test/runbooks/")
    assert "runbook_url: https://docs.test/runbooks/MistralDown.md" in text
    rule = grafana_rules(runbook_base_url="https://docs.test/runbooks")["MistralDown"]
    assert rule.annotations["runbook_url"] == "https://docs.test/runbooks/MistralDown.md"


def test_grafana_has_the_same_alerts_with_the_same_waits_and_labels() -> None:
    rules = grafana_rules()
    assert rules.keys() == {alert.name for alert in ALERTS}
    for alert in ALERTS:
        assert rules[alert.name].labels == alert.labels()
    assert rules["MistralDown"].for_ == "1m"
    assert rules["MistralHighLatency"].for_ == "5m"


def test_grafana_uids_are_constant_unique_and_short_enough() -> None:
    uids = [rule.uid for rule in grafana_rules().values()]
    assert "mistral-very-high-latency" in uids
    assert len(set(uids)) == len(uids)
    assert all(len(uid) <= 40 for uid in uids)


def test_a_prometheus_that_is_down_is_one_grafana_alert() -> None:
    states = {name: rule.exec_err_state for name, rule in grafana_rules().items()}
    assert states.pop("MistralDown") == "Error"
    assert set(states.values()) == {"KeepLast"}
    assert {rule.no_data_state for rule in grafana_rules().values()} == {"OK"}


def test_an_older_grafana_gets_only_fields_that_it_supports() -> None:
    for name, rule in grafana_rules(dialect="before-12").items():
        assert rule.exec_err_state == ("Error" if name == "MistralDown" else "OK")
        assert rule.missing_series_evals_to_resolve is None


def test_grafana_fires_on_any_series_even_with_the_value_zero() -> None:
    query, math, condition = grafana_rules()["MistralDown"].queries
    assert query.model["instant"] is True
    assert query.model["expr"].startswith('up{job="mistral"} == 0')
    assert query.datasource_uid == "prometheus-uid"
    assert math.model["expression"] == "is_number($A) || is_nan($A) || is_inf($A)"
    assert condition.model["conditions"] == [{"evaluator": {"type": "gt", "params": [0]}}]
    assert condition.model["expression"] == math.ref_id


def test_each_target_gets_its_own_template_language() -> None:
    assert "{{ $value | humanizeDuration }}" in render(Thresholds()).replace("\n        ", " ")
    texts = grafana_rules()["MistralSlowGeneration"].annotations
    assert "{{ $values.A.Value | humanizeDuration }}" in texts["description"]
    assert "{{ $labels.model }}" in texts["description"]


def test_grafana_needs_no_recorded_series() -> None:
    names = [recording.name for recording in recordings(Thresholds())]
    for rule in grafana_rules().values():
        assert not any(name in rule.queries[0].model["expr"] for name in names)


def test_the_queries_of_grafana_are_valid_promql(promtool: Promtool, tmp_path: Path) -> None:
    lines = ["groups:", "- name: grafana", "  rules:"]
    for number, rule in enumerate(grafana_rules().values()):
        expr = rule.queries[0].model["expr"].replace("\n", " ")
        lines += [f"  - record: query:{number}", f"    expr: {expr!r}".replace("\\'", "''")]
    file = tmp_path / "grafana.yml"
    file.write_text("\n".join(lines), encoding="utf-8")
    result = promtool("check", "rules", str(file))
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_drill_can_shorten_every_window_and_wait() -> None:
    short = Timing(
        scrape_interval_seconds=2,
        window_seconds=60,
        down_for_seconds=10,
        page_for_seconds=20,
        ticket_for_seconds=30,
        notice_for_seconds=10,
    )
    text = render(Thresholds(timing=short))
    assert "[5m]" not in text
    assert "for: 5m" not in text
    assert "p95_1m" in text
