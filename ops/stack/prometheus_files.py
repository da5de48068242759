"""The files with which another Prometheus scrapes the proxy and has the alert rules."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from alerts import prometheus as prometheus_rules
from infra import urls
from infra.docker_host import is_loopback
from infra.prometheus_config import proxy_scrape_config
from infra.settings.schema import Settings
from monitoring.names import RULES_FILE_NAME

SCRAPE_FILE_NAME: Final = "mistral-scrape.yml"

# Prometheus looks for it beside the file that names it.
KEY_FILE_NAME: Final = "mistral-metrics-key"


def write_prometheus_files(settings: Settings, folder: Path) -> str:
    """Write the files into a folder, and return what to do with them.

    They follow from the settings: thresholds, scrape interval, address of the proxy.

    Raises:
        ThresholdsError: The scrape interval isn't allowed, or is too long for a threshold.
    """
    rules = prometheus_rules.render(settings.thresholds, runbook_base_url=settings.runbook_base_url)
    target = urlsplit(urls.proxy_url(settings)).netloc
    scraping = proxy_scrape_config(
        proxy_target=target,
        proxy_key_file=KEY_FILE_NAME if settings.api_key else None,
        scrape_interval_seconds=settings.scrape_interval_seconds,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RULES_FILE_NAME).write_text(rules, encoding="utf-8")
    (folder / SCRAPE_FILE_NAME).write_text(scraping, encoding="utf-8")
    return "\n".join(_what_to_do(settings, folder, target))


def _what_to_do(settings: Settings, folder: Path, target: str) -> list[str]:
    lines = [
        f"Copy {folder / RULES_FILE_NAME} and {folder / SCRAPE_FILE_NAME}",
        "beside your prometheus.yml, name them there, and reload Prometheus:",
        "",
        f"  rule_files: [{RULES_FILE_NAME}]",
        f"  scrape_config_files: [{SCRAPE_FILE_NAME}]",
        "",
        f"Before Prometheus 2.43, copy the job in {SCRAPE_FILE_NAME} to scrape_configs instead.",
    ]
    if settings.api_key:
        lines.append(
            f"Write the key that the proxy asks for to {KEY_FILE_NAME} beside them: "
            "`pulumi stack output metricsKey --show-secrets`."
        )
    if is_loopback(settings.host):
        lines.append(
            f"Only a Prometheus on the Docker host itself reaches {target}: for another one, set "
            "bindAddress and advertisedHost."
        )
    return lines
