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
from monitoring.names import JOB, TARGET_LABELS
from monitoring.thresholds import Thresholds

if TYPE_CHECKING:
    from pathlib import Path

Promtool = Callable[..., subprocess.CompletedProcess[str]]

INSTANCE = "proxy:11434"

DEFAULTS = Thresholds()
ALERTS = {alert.name: alert for alert in alerts(DEFAULTS)}

# Alerts on all proxies together; the others are about one of them.
OF_ALL_PROXIES = {
    "MistralNoRequests",
    "MistralErrorBudgetFastBurn",
    "MistralErrorBudgetSlowBurn",
}


@cache
def prometheus_rules(t: Thresholds = DEFAULTS) -> dict[str, Any]:
    """Return the rule file of Prometheus; not to be changed."""
    rules: dict[str, Any] = yaml.safe_load(render(t))
    return rules


@cache
def grafana_as_rules(t: Thresholds = DEFAULTS) -> dict[str, Any]:
    """Return Grafana's queries as a rule file, so that promtool can evaluate them too.

    A rule of Grafana fires while its first query returns a series, as a rule of Prometheus does.
    Only the texts are taken from the Prometheus side.
    """
    queries = {
        rule.title: rule.queries[0].model["expr"]
        for group in rule_groups(t, "prometheus")
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
        for group in prometheus_rules(t)["groups"]
    ]
    return {"groups": groups}


@dataclass(frozen=True)
class Expectation:
    """An alert that fires at a time, once per entry of ``instances``; if empty, it is silent."""

    alert: str
    at: str
    instances: tuple[tuple[str, dict[str, str]], ...] = ()

    def as_promtool(self, t: Thresholds) -> dict[str, Any]:
        (alert,) = (alert for alert in alerts(t) if alert.name == self.alert)
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


def fires(
    alert: str, *, at: str, value: str = "", instance: str = INSTANCE, **labels: str
) -> Expectation:
    """Expect one firing alert with its full text; ``value`` is the number as formatted in it.

    An alert on one proxy has the label ``instance``; without a target there is none, so it is "".
    """
    whose = {} if alert in OF_ALL_PROXIES or not instance else {"instance": instance}
    return Expectation(alert, at, ((value, {"job": "mistral", **whose, **labels}),))


def fire(*expected: Expectation) -> Expectation:
    """Expect several firing alerts of one name at one time."""
    ((alert, at),) = {(e.alert, e.at) for e in expected}
    return Expectation(alert, at, tuple(i for e in expected for i in e.instances))


def silent(alert: str, *, at: str) -> Expectation:
    """Expect that the alert doesn't fire; it may be pending."""
    return Expectation(alert, at)


@dataclass(frozen=True)
class RuleTest:
    """The content of a rule file, evaluated as the stack does unless a test says otherwise."""

    promtool: Promtool
    rules: dict[str, Any]
    folder: Path
    thresholds: Thresholds = DEFAULTS

    def check(
        self, series: Mapping[str, str], *expected: Expectation, evaluated_every: str = ""
    ) -> None:
        """Assert what fires when ``series`` (one value per scrape) are scraped."""
        scraped_every = f"{self.thresholds.timing.scrape_interval_seconds}s"
        rules = _needed(self.rules, {e.alert for e in expected})
        (self.folder / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
        test = {
            "interval": scraped_every,
            "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "alert_rule_test": [e.as_promtool(self.thresholds) for e in expected],
        }
        file = self.folder / "test.yml"
        content = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": evaluated_every or scraped_every,
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
    records = {rule["record"]: rule["expr"] for rule in every if "record" in rule}
    needed: set[str] = set()
    while found := {name for name in records if any(name in expr for expr in exprs)} - needed:
        needed |= found
        exprs += [records[name] for name in found]

    def is_needed(rule: dict[str, Any]) -> bool:
        return rule["alert"] in alerts if "alert" in rule else rule["record"] in needed

    groups = [
        {**group, "rules": [rule for rule in group["rules"] if is_needed(rule)]}
        for group in rules["groups"]
    ]
    return {"groups": [group for group in groups if group["rules"]]}


def metric(name: str, *, instance: str = INSTANCE, **labels: str) -> str:
    """Write a series of a proxy, with the labels that a scrape adds."""
    every = {"job": JOB, "instance": instance, **TARGET_LABELS, **labels}
    pairs = ",".join(f'{label}="{value}"' for label, value in every.items())
    return f"{name}{{{pairs}}}"


UP = metric("up")


def histogram(
    name: str, counts: Mapping[str, str], *, instance: str = INSTANCE, **labels: str
) -> dict[str, str]:
    """Write the buckets of a histogram; ``counts`` maps each upper bound to its values."""
    buckets = {
        metric(f"{name}_bucket", instance=instance, **labels, le=le): values
        for le, values in counts.items()
    }
    return {**buckets, metric(f"{name}_count", instance=instance, **labels): counts["+Inf"]}
