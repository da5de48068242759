"""A short soak test."""

import json
from pathlib import Path

import pytest

from tests.soak.command import Schedule, main
from tests.tiny_llama import make_tiny_llama


def test_a_short_run_accounts_for_every_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Engine, proxy and Prometheus are real. The traffic is shorter than the scrape interval."""
    model = make_tiny_llama(tmp_path / "tiny-llama")

    arguments = ["--minutes", "0.12", "--clients", "6", "--model", str(model), "--json"]
    code = main(arguments, Schedule(2, 2.5, between_faults_seconds=(1, 3)))

    findings = json.loads(capsys.readouterr().out)
    assert [check for check in findings["checks"] if check["outcome"] == "FAIL"] == []
    assert code == 0
