"""Fixtures of the tests of alerts and dashboard: promtool and the rules under test."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from ops.prometheus.programs import require_programs
from tests.observability.promtool import Promtool, RuleTest, grafana_as_rules, prometheus_rules

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Return a runner of promtool; if it is missing, fail and say how to get it."""
    path = require_programs().promtool

    # Runs are short: collecting garbage rarely, on one thread, takes less CPU time.
    environ = {**os.environ, "GOGC": "900", "GOMAXPROCS": "1"}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [path, *args], env=environ, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture(params=["prometheus", "grafana"])
def rules(request: pytest.FixtureRequest, promtool: Promtool, tmp_path: Path) -> RuleTest:
    """Return the default rules, once as Prometheus has them and once with Grafana's queries."""
    content = prometheus_rules() if request.param == "prometheus" else grafana_as_rules()
    return RuleTest(promtool, content, tmp_path)


@pytest.fixture
def rules_of_prometheus(promtool: Promtool, tmp_path: Path) -> RuleTest:
    """Return the default rules as Prometheus has them, for tests that set recorded series."""
    return RuleTest(promtool, prometheus_rules(), tmp_path)
