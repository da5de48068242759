"""Prometheus' configuration file, rendered by a pure function.

It depends on neither Pulumi nor Docker, so that the full stack and the demo render the same file,
each with its own targets.
"""

from typing import Any

import yaml

from monitoring.names import (
    ENGINE_JOB,
    JOB,
    SCRAPE_INTERVAL_SECONDS,
    SCRAPE_TIMEOUT_SECONDS,
    TARGET_LABELS,
)


def prometheus_config(  # noqa: PLR0913 - each is a fact of its own
    *,
    proxy_target: str | None,
    prometheus_target: str,
    rules_glob: str,
    grafana_target: str | None = None,
    engine_target: str | None = None,
    proxy_key_file: str | None = None,
    scrape_interval: str = f"{SCRAPE_INTERVAL_SECONDS}s",
    scrape_timeout: str = f"{SCRAPE_TIMEOUT_SECONDS}s",
    evaluation_interval: str | None = None,
) -> str:
    """Render ``prometheus.yml``.

    Args:
        proxy_target: ``host:port`` of the proxy, whose job every alert queries; None for a job
            without a target, as when a service discovery loses it.
        prometheus_target: ``host:port`` at which Prometheus reaches itself.
        rules_glob: Rule files to load, as a path or glob on Prometheus' side.
        grafana_target: ``host:port`` of Grafana; None to leave its job out.
        engine_target: ``host:port`` of an engine that has metrics; None to leave its job out.
        proxy_key_file: File with the key for the proxy's metrics; None if it asks for none.
        scrape_interval: Time between scrapes.
        scrape_timeout: Time that a scrape of the proxy may take, at most ``scrape_interval``.
        evaluation_interval: Time between rule evaluations; None for ``scrape_interval``.

    Returns:
        YAML text, the same for the same arguments.
    """
    others = {"prometheus": prometheus_target, "grafana": grafana_target, ENGINE_JOB: engine_target}
    config = {
        "global": {
            "scrape_interval": scrape_interval,
            "evaluation_interval": evaluation_interval or scrape_interval,
        },
        "rule_files": [rules_glob],
        "scrape_configs": [
            _proxy_job(proxy_target, proxy_key_file, scrape_timeout),
            *(_job(name, target) for name, target in others.items() if target is not None),
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)


def _proxy_job(target: str | None, key_file: str | None, timeout: str) -> dict[str, Any]:
    key = {"authorization": {"credentials_file": key_file}} if key_file else {}
    return {
        "job_name": JOB,
        "metrics_path": "/metrics",
        "scrape_timeout": timeout,
        "honor_labels": True,
        **key,
        "static_configs": [{"targets": [target], "labels": dict(TARGET_LABELS)}] if target else [],
    }


def _job(name: str, target: str) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [target]}]}
