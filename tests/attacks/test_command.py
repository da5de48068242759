"""Short attacks. What a busy machine makes slow is allowed to be slow here."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.attacks.command import Schedule, conditions, main
from tests.attacks.findings import Limits, Times
from tests.attacks.mortal_proxy import EXIT_CODE
from tests.attacks.observation import Event
from tests.attacks.results import Results
from tests.attacks.sample import FINE

SHORT = Schedule(
    warm_up_seconds=0.5,
    quiet_seconds=0.5,
    pause_seconds=0.5,
    scrape_seconds=0.2,
    limits=Limits(livez_seconds=math.inf),
)
DYING = ("-m", "tests.attacks.mortal_proxy")


def run(folder: Path, *arguments: str, program: tuple[str, ...] = ()) -> int:
    given = ["--seconds", "1", "--folder", str(folder), "--json", *arguments]
    return main(given, SHORT, program) if program else main(given, SHORT)


def failures(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return the evidence of each check that failed."""
    checks = json.loads(capsys.readouterr().out)["checks"]
    return {check["name"]: check["evidence"] for check in checks if check["outcome"] == "FAIL"}


def test_an_attack_that_the_proxy_withstands_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proxy, the clients and the attacking process are real; the engine is a stand-in."""
    code = run(tmp_path, "--only", "fields-without-value")

    assert failures(capsys) == {}
    assert code == 0
    (finding,) = json.loads((tmp_path / "results.json").read_text())["findings"]
    assert finding["sent"]["answers"]["431"] > 0
    assert finding["clients"]["done"] > 0


def test_a_proxy_that_dies_is_started_again_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(tmp_path, "--only", "invalid-http", program=DYING)

    failed = failures(capsys)["invalid-http: the proxy did not restart"]
    assert failed.endswith(f"restarts, the last after exit code {EXIT_CODE}")
    assert code == 1


def test_a_run_is_resumed_where_it_was_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An attack whose finding is stored isn't repeated; the finding is judged again."""
    file = tmp_path / "results.json"
    failing = replace(FINE, name="long-target", scrapes=Times.of([Event(10.0, "timed out")]))
    Results(file, conditions(1.0, image="", engine="")).add(failing)

    code = run(tmp_path, "--only", "long-target", "--resume")

    assert "long-target: no scrape failed" in failures(capsys)
    assert code == 1


def test_the_findings_are_printed_as_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the conditions were."""
    Results(tmp_path / "results.json", {"seconds": 60}).add(FINE)

    assert run(tmp_path, "--table") == 0

    heading, rule, row = capsys.readouterr().out.splitlines()
    assert heading.startswith("| Attack |")
    assert rule.count("|") == row.count("|") == heading.count("|")
    assert row.startswith(f"| {FINE.name} | 1, 0.0 | 431: 1 | 10, 10, 300 ms | 1, 0, 0 |")


def test_results_of_other_conditions_are_not_continued(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text('{"conditions": {"seconds": 60}, "findings": []}')

    assert run(tmp_path, "--resume") == 2
    assert "use the same options, or another --folder" in capsys.readouterr().err


def test_the_attacks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    assert "full-queue: 1,500 clients" in capsys.readouterr().out
