"""The generated files are up to date, and the tools that read them accept them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from alerts.grafana import rule_groups
from alerts.prometheus import render as render_rules
from alerts.rules_file import RULES_FILE
from dashboards.__main__ import DASHBOARD_FILE
from dashboards.overview import render as render_dashboard
from infra.prometheus_config import prometheus_config
from monitoring.thresholds import Thresholds, Timing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.observability.promtool import Promtool


def test_the_committed_rules_are_the_rendered_ones() -> None:
    assert RULES_FILE.read_text(encoding="utf-8") == render_rules(Thresholds()), "run `make render`"


def test_the_committed_dashboard_is_the_rendered_one() -> None:
    assert DASHBOARD_FILE.read_text(encoding="utf-8") == render_dashboard(Thresholds()), (
        "run `make render`"
    )


@pytest.mark.parametrize("package", ["alerts", "dashboards"])
def test_rendering_does_not_depend_on_hash_seeds(package: str) -> None:
    """Otherwise the order of a set or dict would differ between deployments."""
    render = {
        "alerts": "from alerts.prometheus import render",
        "dashboards": "from dashboards.overview import render",
    }[package]
    script = f"{render}; from monitoring.thresholds import Thresholds; print(render(Thresholds()))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_a_changed_limit_reaches_everything_that_shows_it() -> None:
    """The rules of Prometheus, the rules of Grafana and the line on the dashboard."""
    eight = Thresholds(high_latency_seconds=8)
    (rule,) = (
        rule
        for group in rule_groups(eight, "prometheus")
        for rule in group.rules
        if rule.title == "MistralHighLatency"
    )
    (latency,) = (
        panel
        for panel in json.loads(render_dashboard(eight))["panels"]
        if panel["title"] == "Latency percentiles"
    )

    assert 'p95_5m{job="mistral"} > 8' in render_rules(eight)
    assert "> 8\n" in rule.queries[0].model["expr"]
    assert "threshold 8 s" in rule.annotations["description"]
    steps = latency["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["value"] for step in steps] == [None, 8, 10]


def test_prometheus_accepts_the_rules(promtool: Promtool) -> None:
    result = promtool("check", "rules", str(RULES_FILE))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("seconds", [1, 5, 17, 30, 45, 60, 90, 120])
def test_prometheus_accepts_the_rules_for_every_scrape_interval(
    promtool: Promtool, tmp_path: Path, seconds: int
) -> None:
    file = tmp_path / "rules.yml"
    timing = Timing.for_scrape_interval(seconds)
    file.write_text(render_rules(Thresholds(timing=timing)), encoding="utf-8")
    result = promtool("check", "rules", str(file))
    assert result.returncode == 0, result.stdout + result.stderr


def test_prometheus_accepts_its_configuration_with_the_rules(
    promtool: Promtool, tmp_path: Path
) -> None:
    config = tmp_path / "prometheus.yml"
    config.write_text(
        prometheus_config(
            proxy_target="proxy:11434",
            prometheus_target="prometheus:9090",
            rules_glob=str(RULES_FILE),
            grafana_target="grafana:3000",
            engine_target="engine:8080",
        ),
        encoding="utf-8",
    )
    result = promtool("check", "config", str(config))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "SUCCESS" in result.stdout
