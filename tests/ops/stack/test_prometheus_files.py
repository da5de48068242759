"""The files for a Prometheus of the user's own follow from the stack's settings."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.prometheus.programs import require_programs
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import ScriptedRunner
from tests.ops.stack.operating import configure, operator


def written(root: Path, **settings: object) -> tuple[dict[str, Any], str]:
    """Return the proxy's job and the text of the rules."""
    configure(root, **settings)
    assert operator(root, ScriptedRunner()).prometheus_files() == 0
    folder = root / ".run" / "prometheus-dev"
    scraping = yaml.safe_load((folder / "mistral-scrape.yml").read_text())
    (job,) = scraping["scrape_configs"]
    return job, (folder / "mistral-alerts.yml").read_text()


@pytest.mark.parametrize(("seconds", "timeout"), [(1, "1s"), (5, "5s"), (15, "10s"), (60, "10s")])
def test_prometheus_accepts_them_at_every_interval(root: Path, seconds: int, timeout: str) -> None:
    """A timeout longer than the interval would make the whole configuration invalid."""
    job, _ = written(root, scrapeIntervalSeconds=str(seconds))
    assert (job["scrape_interval"], job["scrape_timeout"]) == (f"{seconds}s", timeout)
    folder = root / ".run" / "prometheus-dev"
    rules = {"rule_files": ["mistral-alerts.yml"], "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(rules))
    promtool = require_programs().promtool
    subprocess.run([promtool, "check", "config", folder / "prometheus.yml"], check=True)


def test_the_rules_have_the_windows_and_thresholds_of_the_settings(root: Path) -> None:
    _, usual = written(root)
    _, other = written(
        root, scrapeIntervalSeconds="120", alertThresholds='{"highErrorRatio": 0.25}'
    )
    assert "[8m]" in other
    assert "> 0.25" in other
    assert "[8m]" not in usual


def test_the_target_is_the_published_address(root: Path) -> None:
    job, _ = written(
        root, proxyPort="11500", bindAddress="0.0.0.0", advertisedHost="llm.example.org"
    )
    assert job["static_configs"][0]["targets"] == ["llm.example.org:11500"]
    assert "authorization" not in job


def test_a_key_is_read_from_a_file_and_is_not_written(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job, rules = written(root, apiKey={"secure": "v1:encrypted"})
    printed = capsys.readouterr().out
    assert job["authorization"] == {"credentials_file": "mistral-metrics-key"}
    assert "pulumi stack output metricsKey --show-secrets" in printed
    assert "encrypted" not in f"{job}{rules}{printed}"


def test_what_to_do_with_them_is_said_and_that_loopback_is_only_here(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(root)
    printed = capsys.readouterr().out
    assert "rule_files: [mistral-alerts.yml]" in printed
    assert "scrape_config_files: [mistral-scrape.yml]" in printed
    assert "Only a Prometheus on the Docker host itself reaches 127.0.0.1:11434" in printed


def test_an_interval_that_is_not_allowed_is_named(root: Path) -> None:
    configure(root, scrapeIntervalSeconds="600")
    with pytest.raises(OperatorError, match="scrape interval is 600 s"):
        operator(root, ScriptedRunner()).prometheus_files()
