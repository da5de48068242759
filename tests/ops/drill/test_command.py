"""The drill as a whole: real conditions, a real proxy and a real Prometheus, at short intervals."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from alerts.rules import alerts
from monitoring.thresholds import Thresholds, Timing
from ops.checkout import ROOT
from ops.drill.command import main
from ops.drill.conditions import NAMES, conditions
from ops.drill.intervals import DrillConfig
from ops.drill.sequence import Drill
from ops.prometheus import programs
from ops.report import Outcome, Report
from ops.running.targets import Targets
from tests.ops.drill.stand_in_grafana import GrafanaStandIn, grafana_standin
from tests.processes import TIMEOUT_SECONDS

QUICK = DrillConfig(
    thresholds=Thresholds(
        timing=Timing(
            scrape_interval_seconds=1,
            window_seconds=6,
            down_for_seconds=3,
            page_for_seconds=4,
            ticket_for_seconds=6,
            notice_for_seconds=3,
            fast_burn_seconds=8,
            slow_burn_short_seconds=8,
            slow_burn_seconds=10,
        ),
    ),
    evaluation="500ms",
)
NOWHERE = Targets("nothing", "http://127.0.0.1:9")


def test_every_alert_has_a_condition_that_makes_it_fire() -> None:
    caused = {alert for condition in conditions(DrillConfig()) for alert in condition.expected}

    assert caused == {alert.name for alert in alerts(Thresholds())}


def test_a_dead_engine_and_a_dead_proxy_fire_one_alert_each_and_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lines: list[str] = []
    report = Report(lines.append)

    Drill(report, QUICK, NOWHERE, only=["engine-dead", "proxy-dead"]).run()

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
            kill_if_it_hangs = threading.Timer(TIMEOUT_SECONDS, process.kill)
            kill_if_it_hangs.start()
            assert process.stdout
            idling = any(") idle:" in line for line in process.stdout)
            during = dict(grafana.rules)
            process.send_signal(signal.SIGINT)
            printed = process.stdout.read()
            kill_if_it_hangs.cancel()

    assert idling
    assert during
    assert process.returncode == 130
    assert "PASS  Grafana is restored" in printed
    assert grafana.rules == {}
    assert grafana.tree == before


def test_an_unknown_condition_is_refused_with_a_list_of_the_known_ones() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops.drill", "earthquake"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "unknown condition 'earthquake'" in done.stderr
    assert all(name in done.stderr for name in NAMES)


def test_without_prometheus_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "FOLDER", tmp_path)

    assert main([]) == 2

    error = capsys.readouterr().err
    assert "error: Prometheus 2.42 or later is not on PATH: run `make prometheus`" in error
