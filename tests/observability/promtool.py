"""Evaluates the rules with promtool and checks which alerts fire, with their texts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from alerts.grafana import rule_groups
from alerts.prometheus import render
from alerts.rules import alerts
from monitoring.thresholds import Thresholds

if TYPE_CHECKING:
    from pathlib import Path

Promtool = Callable[..., subprocess.CompletedProcess[str]]

# Labels that a scrape adds to every series of the proxy.
TARGET = 'job="mistral",instance="proxy:11434",engine="mistral",engine_type="inference"'

ALERTS = {alert.name: alert for alert in alerts(Thresholds())}


@cache
def prometheus_rules() -> dict[str, Any]:
    """Return the rule file of Prometheus with the default limits; not to be changed."""
    rules: dict[str, Any] = yaml.safe_load(render(Thresholds()))
    return rules


@cache
def grafana_as_rules() -> dict[str, Any]:
    """Return Grafana's queries as a rule file, so that promtool can evaluate them too.

    A rule of Grafana fires while its first query returns a series, as a rule of Prometheus does.
    Only the texts are taken from the Prometheus side.
    """
    queries = {
        rule.title: rule.queries[0].model["expr"]
        for group in rule_groups(Thresholds(), "prometheus")
        for rule in group.rules
    }
    groups = [
        {
            **group,
            "rules": [
                {**rule, "expr": queries[rule["alert"]]}
                for rule in group["rules"]
                if "alert" in rule
            ],
        }
        for group in prometheus_rules()["groups"]
    ]
    return {"groups": groups}


@dataclass(frozen=True)
class Expectation:
    """An alert that fires at a time, once per entry of ``instances``; if empty, it is silent."""

    alert: str
    at: str
    instances: tuple[tuple[str, dict[str, str]], ...] = ()

    def as_promtool(self) -> dict[str, Any]:
        alert = ALERTS[self.alert]
        return {
            "eval_time": self.at,
            "alertname": self.alert,
            "exp_alerts": [
                {
                    "exp_labels": {**alert.labels(), **labels},
                    "exp_annotations": {
                        "summary": alert.summary,
                        "description": alert.description.format(
                            value=value, model=labels.get("model")
                        ),
                        "runbook": alert.runbook,
                    },
                }
                for value, labels in self.instances
            ],
        }


def fires(alert: str, *, at: str, value: str = "", **labels: str) -> Expectation:
    """Expect one firing alert with its full text; ``value`` is the number as formatted in it."""
    return Expectation(alert, at, ((value, {"job": "mistral", **labels}),))


def silent(alert: str, *, at: str) -> Expectation:
    """Expect that the alert doesn't fire; it may be pending."""
    return Expectation(alert, at)


@dataclass(frozen=True)
class RuleTest:
    """The content of a rule file, evaluated as the stack does unless a test says otherwise."""

    promtool: Promtool
    rules: dict[str, Any]
    folder: Path

    def check(
        self, series: Mapping[str, str], *expected: Expectation, evaluated_every: str = "15s"
    ) -> None:
        """Assert what fires when ``series`` (one value per 15 seconds) are scraped."""
        rules = _needed(self.rules, {e.alert for e in expected})
        (self.folder / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        test = {
            "interval": "15s",
            "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "alert_rule_test": [e.as_promtool() for e in expected],
        }
        file = self.folder / "test.yml"
        content = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": evaluated_every,
            "tests": [test],
        }
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        result = self.promtool("test", "rules", str(file))
        assert result.returncode == 0, result.stdout + result.stderr


def _needed(rules: dict[str, Any], alerts: set[str]) -> dict[str, Any]:
    """Return only these alerts and the recorded series in them, since each evaluation costs time.

    No rule depends on an alert.
    """
    every = [rule for group in rules["groups"] for rule in group["rules"]]
    exprs = [rule["expr"] for rule in every if rule.get("alert") in alerts]

    def is_needed(rule: dict[str, Any]) -> bool:
        if "alert" in rule:
            return rule["alert"] in alerts
        return any(rule["record"] in expr for expr in exprs)

    groups = [
        {**group, "rules": [rule for rule in group["rules"] if is_needed(rule)]}
        for group in rules["groups"]
    ]
    return {"groups": [group for group in groups if group["rules"]]}


def metric(name: str, **labels: str) -> str:
    """Write a series of the proxy."""
    extra = "".join(f',{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{TARGET}{extra}}}"


UP = f"up{{{TARGET}}}"


def histogram(name: str, counts: Mapping[str, str], **labels: str) -> dict[str, str]:
    """Write the buckets of a histogram; ``counts`` maps each upper bound to its values."""
    buckets = {metric(f"{name}_bucket", **labels, le=le): v for le, v in counts.items()}
    return {**buckets, metric(f"{name}_count", **labels): counts["+Inf"]}
