"""Prometheus' configuration file."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.prometheus_config import (
    prometheus_config,
    takes_retention_from_file,
    version_in_tag,
)
from ops.processes.runner import SystemRunner
from ops.prometheus.programs import require_programs, version_of


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


@pytest.mark.parametrize(
    ("image", "version", "in_file"),
    [
        ("prom/prometheus:v3.16.0", (3, 16, 0), True),
        ("registry.test:5000/prom/prometheus:v3.11.0@sha256:0123", (3, 11, 0), True),
        ("prom/prometheus:v3.10.0", (3, 10, 0), False),
        ("prom/prometheus:v2.55.1-distroless", (2, 55, 1), False),
        ("prom/prometheus:latest", (), False),
        ("registry.test:5000/prometheus", (), False),
        ("prom/prometheus@sha256:0123", (), False),
    ],
)
def test_the_image_decides_where_the_retention_is(
    image: str,
    version: tuple[int, ...],
    *,
    in_file: bool,
) -> None:
    assert version_in_tag(image) == version
    assert takes_retention_from_file(version) == in_file


def test_prometheus_accepts_the_retention_in_its_file_if_it_is_new_enough(tmp_path: Path) -> None:
    program = require_programs()
    in_file = takes_retention_from_file(version_of(SystemRunner(), program.prometheus))
    text = prometheus_config(
        proxy_target="a:1", prometheus_target="b:2", rules_glob="rules/*.yml", retention="7d"
    )
    (tmp_path / "prometheus.yml").write_text(text, encoding="utf-8")
    command = [
        program.promtool,
        "check",
        "config",
        "--syntax-only",
        str(tmp_path / "prometheus.yml"),
    ]
    accepted = subprocess.run(command, check=False).returncode == 0
    assert accepted or not in_file
