"""Prometheus' configuration file, rendered by a pure function.

It depends on neither Pulumi nor Docker, so that the full stack and the demo render the same file,
each with its own targets.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import yaml

from monitoring.names import (
    ENGINE_JOB,
    JOB,
    SCRAPE_INTERVAL_SECONDS,
    TARGET_LABELS,
    scrape_timeout_seconds,
)

# From this version of Prometheus on, its configuration file sets the retention. Before 3.11.0, that
# came out 1,000,000 times as long (its fix #18200), and 2.42 refuses the file. The flag works
# everywhere; 3.16 calls it deprecated.
RETENTION_IN_FILE: Final = (3, 11)

# Prometheus answers everyone, and a web page can have a browser send it any query.
PROTECTIVE_FLAGS: Final = (
    # By default every page can also read the results (``Access-Control-Allow-Origin: *``). No page
    # has the origin "none". Prometheus' own pages and Grafana, whose server asks, need none.
    "--web.cors.origin=none",
    # By default a single query may load 50 million samples; 34 million took 2.6 GiB. With 50
    # models, the largest of the dashboard's loads 0.75 million on a screen of 1920 pixels.
    "--query.max-samples=2000000",
    # By default 20 queries run at the same time, for 2 minutes each.
    "--query.max-concurrency=4",
    "--query.timeout=30s",
)


def takes_retention_from_file(version: Sequence[int]) -> bool:
    """Return whether a version of Prometheus does; False for an unknown one, which is empty."""
    return tuple(version) >= RETENTION_IN_FILE


def retention_flag(retention: str) -> str:
    """Return the flag for a Prometheus that doesn't take the retention from its file."""
    return f"--storage.tsdb.retention.time={retention}"


def version_in_tag(image: str) -> tuple[int, ...]:
    """Return the version in the tag of an image, such as (3, 16, 0); empty if it has none."""
    found = re.search(r":v?(\d+(?:\.\d+)+)[^/]*$", image.partition("@")[0])
    return tuple(map(int, found[1].split("."))) if found else ()


def prometheus_config(  # noqa: PLR0913 - each is a fact of its own
    *,
    proxy_target: str | None,
    prometheus_target: str,
    rules_glob: str,
    grafana_target: str | None = None,
    engine_target: str | None = None,
    proxy_key_file: str | None = None,
    scrape_interval_seconds: float = SCRAPE_INTERVAL_SECONDS,
    evaluation_interval: str | None = None,
    retention: str | None = None,
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
        scrape_interval_seconds: Time between scrapes. The timeout of a scrape follows from it.
        evaluation_interval: Time between rule evaluations, in Prometheus' notation; None for the
            scrape interval.
        retention: How long samples are kept, in Prometheus' notation; None to leave it to the flag.

    Returns:
        YAML text, the same for the same arguments.
    """
    others = {"prometheus": prometheus_target, "grafana": grafana_target, ENGINE_JOB: engine_target}
    interval = _duration(scrape_interval_seconds)
    timeout = _duration(scrape_timeout_seconds(scrape_interval_seconds))
    storage = {"storage": {"tsdb": {"retention": {"time": retention}}}} if retention else {}
    config = {
        **storage,
        "global": {
            "scrape_interval": interval,
            "evaluation_interval": evaluation_interval or interval,
        },
        "rule_files": [rules_glob],
        "scrape_configs": [
            _proxy_job(proxy_target, proxy_key_file, timeout),
            *(_job(name, target) for name, target in others.items() if target is not None),
        ],
    }
    return yaml.safe_dump(config, sort_keys=False)


def proxy_scrape_config(
    *, proxy_target: str, proxy_key_file: str | None, scrape_interval_seconds: float
) -> str:
    """Render a file for another Prometheus' ``scrape_config_files``: only the proxy's job.

    Unlike in ``prometheus_config``, the job has its own interval, whatever that Prometheus'
    ``global`` section says.

    Args:
        proxy_target: ``host:port`` of the proxy.
        proxy_key_file: File with the key for the proxy's metrics; None if it asks for none.
        scrape_interval_seconds: Time between scrapes. The timeout of a scrape follows from it.

    Returns:
        YAML text, the same for the same arguments.
    """
    timeout = _duration(scrape_timeout_seconds(scrape_interval_seconds))
    job = _proxy_job(proxy_target, proxy_key_file, timeout)
    name, path = job.pop("job_name"), job.pop("metrics_path")
    interval = {"scrape_interval": _duration(scrape_interval_seconds)}
    return yaml.safe_dump(
        {"scrape_configs": [{"job_name": name, "metrics_path": path, **interval, **job}]},
        sort_keys=False,
    )


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


def _duration(seconds: float) -> str:
    """Write a duration as Prometheus reads it, which has no fractions: 0.5 is ``500ms``."""
    return f"{seconds:g}s" if seconds == int(seconds) else f"{seconds * 1000:g}ms"
