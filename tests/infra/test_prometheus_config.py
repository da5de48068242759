"""Prometheus' configuration file."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.prometheus_config import prometheus_config
from ops.prometheus.programs import require_programs


def _rendered(*, every: float = 15, **others: str) -> dict[str, Any]:
    text = prometheus_config(
        proxy_target="proxy:1",
        prometheus_target="prom:2",
        rules_glob="rules/*.yml",
        scrape_interval_seconds=every,
        **others,
    )
    config: dict[str, Any] = yaml.safe_load(text)
    return config


def test_the_proxys_job_is_exactly_the_documented_one() -> None:
    assert _rendered()["scrape_configs"][0] == {
        "job_name": "mistral",
        "metrics_path": "/metrics",
        "scrape_timeout": "10s",
        "honor_labels": True,
        "static_configs": [
            {"targets": ["proxy:1"], "labels": {"engine": "mistral", "engine_type": "inference"}}
        ],
    }


def test_the_proxys_key_is_read_from_a_file() -> None:
    job = _rendered(proxy_key_file="/run/secrets/key")["scrape_configs"][0]
    assert job["authorization"] == {"credentials_file": "/run/secrets/key"}


def test_only_what_exists_is_scraped() -> None:
    jobs = [job["job_name"] for job in _rendered()["scrape_configs"]]
    assert jobs == ["mistral", "prometheus"]


def test_grafana_and_the_engine_are_scraped_if_they_have_targets() -> None:
    config = _rendered(grafana_target="grafana:3", engine_target="engine:4")
    targets = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]
    }
    assert targets["grafana"] == ["grafana:3"]
    assert targets["mistralrs"] == ["engine:4"]


def test_rules_are_evaluated_as_often_as_targets_are_scraped() -> None:
    config = _rendered(every=30)
    assert config["rule_files"] == ["rules/*.yml"]
    assert config["global"] == {"scrape_interval": "30s", "evaluation_interval": "30s"}


@pytest.mark.parametrize(
    ("seconds", "interval", "timeout"),
    [
        pytest.param(5, "5s", "5s", id="shorter than the usual timeout"),
        pytest.param(10, "10s", "10s", id="as long as it"),
        pytest.param(60, "60s", "10s", id="longer"),
        pytest.param(0.5, "500ms", "500ms", id="less than a second"),
    ],
)
def test_prometheus_accepts_the_timeout_of_every_scrape_interval(
    tmp_path: Path, seconds: float, interval: str, timeout: str
) -> None:
    """It refuses a timeout that is longer than the interval."""
    config = _rendered(every=seconds)
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    promtool = require_programs().promtool

    subprocess.run([promtool, "check", "config", "--syntax-only", file], check=True)
    assert config["global"]["scrape_interval"] == interval
    assert config["scrape_configs"][0]["scrape_timeout"] == timeout


def test_the_same_arguments_give_the_same_text() -> None:
    assert _rendered() == _rendered()


def test_prometheus_accepts_it(tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(
        prometheus_config(
            proxy_target="a:1",
            prometheus_target="b:2",
            rules_glob="rules/*.yml",
            grafana_target="c:3",
            engine_target="d:4",
        ),
        encoding="utf-8",
    )
    promtool = require_programs().promtool
    subprocess.run([promtool, "check", "config", "--syntax-only", file], check=True)
