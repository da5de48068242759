"""The drill itself: real proxy, real Prometheus, conditions caused for real, at a hasty pace."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from alerts.rules import alerts
from monitoring.thresholds import Thresholds, Timing
from ops.drill.conditions import NAMES, conditions
from ops.drill.holding import Drill
from ops.drill.pace import Pace
from ops.report import Outcome, Report
from ops.system.console import ROOT
from ops.targets import Targets
from tests.ops.drill.grafana_standin import GrafanaStandIn, grafana_standin

HANGING_SECONDS = 60
HASTY = Pace(
    limits=Thresholds(
        timing=Timing(
            window_seconds=6,
            down_for_seconds=3,
            page_for_seconds=3,
            ticket_for_seconds=6,
            notice_for_seconds=3,
            fast_burn_seconds=8,
            slow_burn_short_seconds=8,
            slow_burn_seconds=10,
        ),
    ),
    scrape="1s",
    evaluation="500ms",
)
NOWHERE = Targets("nothing", "http://127.0.0.1:9")


def test_every_alert_has_a_condition_that_makes_it_tell() -> None:
    told = {alert for condition in conditions(Pace()) for alert in condition.tells}

    assert told == {alert.name for alert in alerts(Thresholds())}


def test_a_dead_engine_and_a_dead_proxy_are_told_alone_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lines: list[str] = []
    report = Report(lines.append)

    Drill(report, HASTY, NOWHERE, only=["engine-dead", "proxy-dead"]).hold()

    printed = "\n".join(lines)
    assert report.count(Outcome.FAIL) == 0, printed
    for alert in ("MistralEngineUnreachable", "MistralDown"):
        assert f"PASS  {alert} in Prometheus" in printed
    assert printed.count("PASS  one fault pages once — no other alert fired") == 2
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_restores_what_the_drill_touched() -> None:
    grafana = GrafanaStandIn("10.2.0")
    before = grafana.tree
    with grafana_standin(grafana) as url:
        command = [sys.executable, "-m", "ops.drill", "idle", "--grafana", url]
        with subprocess.Popen(
            [*command, "--reach", "127.0.0.1"],
            cwd=ROOT,
            env={**os.environ, "GRAFANA_PASSWORD": "secret"},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            line = next((line for line in process.stdout if "(2) idle" in line), "")
            there = dict(grafana.rules)
            process.send_signal(signal.SIGINT)
            printed, _ = process.communicate(timeout=HANGING_SECONDS)

    assert line
    assert there
    assert process.returncode == 130
    assert "PASS  Grafana is as it was" in printed
    assert grafana.rules == {}
    assert grafana.tree == before


def test_an_unknown_condition_is_refused_with_those_there_are() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.drill", "earthquake"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "no condition 'earthquake'" in done.stderr
    assert all(name in done.stderr for name in NAMES)


def test_without_prometheus_it_says_how_to_get_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.drill"],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "error: Prometheus is not on PATH" in done.stderr
