"""What the tests of alerts and dashboards share: promtool, and the rules under test."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from alerts.prometheus import render
from monitoring.thresholds import Thresholds
from ops.prometheus.programs import require_programs
from tests.observability.promtool import Promtool, RuleTest, grafana_as_rules

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Give promtool, or fail with how to get it: without it nothing here is proven."""
    path = require_programs().promtool

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([path, *args], capture_output=True, text=True, check=False)

    return run


@pytest.fixture(params=["prometheus", "grafana"])
def rules(request: pytest.FixtureRequest, promtool: Promtool, tmp_path: Path) -> RuleTest:
    """Give the default rules, once as Prometheus has them and once with Grafana's queries."""
    text = render(Thresholds()) if request.param == "prometheus" else grafana_as_rules()
    (tmp_path / "rules.yml").write_text(text, encoding="utf-8")
    return RuleTest(promtool, tmp_path)


@pytest.fixture
def prometheus_rules(promtool: Promtool, tmp_path: Path) -> RuleTest:
    """Give the default rules as Prometheus has them, to feed recorded series directly."""
    (tmp_path / "rules.yml").write_text(render(Thresholds()), encoding="utf-8")
    return RuleTest(promtool, tmp_path)
