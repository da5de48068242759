"""Feeds series to the rules with promtool and states which alerts must fire with which text."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from alerts.grafana import rule_groups
from alerts.prometheus import render
from alerts.rules import alerts
from monitoring.thresholds import Thresholds

if TYPE_CHECKING:
    from pathlib import Path

Promtool = Callable[..., subprocess.CompletedProcess[str]]

#: Labels that the scrape gives every series of the proxy.
TARGET = 'job="mistral",instance="proxy:11434",engine="mistral",engine_type="inference"'

ALERTS = {alert.name: alert for alert in alerts(Thresholds())}


def grafana_as_rules() -> str:
    """Write Grafana's queries as a rule file, so that promtool can judge them too.

    A rule of Grafana fires while its first query returns anything, which is what a rule of
    Prometheus does; only the texts are taken from the Prometheus side.
    """
    rules = yaml.safe_load(render(Thresholds()))["groups"]
    queries = {
        rule.title: rule.queries[0].model["expr"]
        for group in rule_groups(Thresholds(), "prometheus")
        for rule in group.rules
    }
    for group in rules:
        group["rules"] = [
            {**rule, "expr": queries[rule["alert"]]} for rule in group["rules"] if "alert" in rule
        ]
    return yaml.safe_dump({"groups": rules})


@dataclass(frozen=True)
class Expectation:
    """An alert that fires at a time, once per entry of ``instances``; none means silence."""

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
    """Expect one firing alert with its full text, ``value`` being the judged number in words."""
    return Expectation(alert, at, ((value, {"job": "mistral", **labels}),))


def silent(alert: str, *, at: str) -> Expectation:
    """Expect that nobody is told, whether or not the alert is pending."""
    return Expectation(alert, at)


@dataclass(frozen=True)
class RuleTest:
    """The rules in ``folder``, evaluated as the stack does unless a test says otherwise."""

    promtool: Promtool
    folder: Path

    def check(
        self, series: Mapping[str, str], *expected: Expectation, evaluated_every: str = "15s"
    ) -> None:
        """Assert what fires when ``series`` (one value per 15 seconds) are scraped."""
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


def metric(name: str, **labels: str) -> str:
    """Write a series of the proxy."""
    extra = "".join(f',{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{TARGET}{extra}}}"


UP = f"up{{{TARGET}}}"


def histogram(name: str, counts: Mapping[str, str], **labels: str) -> dict[str, str]:
    """Write the buckets of a histogram; ``counts`` maps each upper bound to its values."""
    buckets = {metric(f"{name}_bucket", **labels, le=le): v for le, v in counts.items()}
    return {**buckets, metric(f"{name}_count", **labels): counts["+Inf"]}
