"""Whether Prometheus scrapes the proxy, runs queries and has the alert rules."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from alerts.rules import alerts
from monitoring.names import JOB, SCRAPE_INTERVAL_SECONDS
from monitoring.thresholds import Thresholds
from ops.clients.prometheus import PROXY_IS_UP, Prometheus, PrometheusError, seconds
from ops.processes.polling import Poller
from ops.report import Check, failed, judged, passed

# Title of these checks, to which hints of later ones refer.
SECTION = "Scraping"

# What to do about a Prometheus that isn't the stack's.
OWN_FILES = "for a Prometheus of your own, `make prometheus-files` writes its job and rules"

# Time for a scrape and for loading rules, on top of two scrape intervals.
MARGIN_SECONDS = 5.0


def scraping_checks(prometheus: Prometheus, poller: Poller) -> Iterator[Check]:
    """Check target, query and rules."""
    try:
        yield _version_check(prometheus)
        yield _target_check(prometheus, poller)
        yield _query_check(prometheus)
        yield _rules_check(prometheus, poller)
        yield _firing_check(prometheus)
    except PrometheusError as error:
        yield failed("Prometheus responds", str(error), "read Prometheus' log")


def scrape_interval(prometheus: Prometheus) -> float:
    """Return the proxy's scrape interval in seconds. Raises PrometheusError without a target."""
    targets = prometheus.targets(JOB)
    if not targets:
        raise PrometheusError(f"no target of job {JOB}")
    return _longest_interval(targets)


def _longest_interval(targets: list[dict[str, Any]]) -> float:
    return max(seconds(target["scrapeInterval"]) for target in targets)


def _first_scrape_timeout(prometheus: Prometheus) -> float:
    """Return how long a target may take to be scraped after a start, in seconds."""
    targets = prometheus.targets(JOB)
    interval = _longest_interval(targets) if targets else SCRAPE_INTERVAL_SECONDS
    return 2 * interval + MARGIN_SECONDS


def _version_check(prometheus: Prometheus) -> Check:
    return passed("Prometheus responds", f"version {prometheus.version()}")


def _target_check(prometheus: Prometheus, poller: Poller) -> Check:
    name = f"job {JOB} is scraped"
    targets = poller.until(
        lambda: prometheus.targets(JOB), _all_up, timeout=_first_scrape_timeout(prometheus)
    )
    if not targets:
        return failed(name, "no such target", "run `make up` again; " + OWN_FILES)
    shown = ", ".join(f"{t['scrapeUrl']} {t['health']} {t['lastError']}".strip() for t in targets)
    fresh = all(_age_seconds(t) <= 2 * seconds(t["scrapeInterval"]) + 1 for t in targets)
    return judged(
        name,
        shown if fresh else f"{shown}, but the last scrape is old",
        ok=_all_up(targets) and fresh,
        hint="check that Prometheus can reach the proxy at that address",
    )


def _all_up(targets: list[dict[str, Any]]) -> bool:
    return bool(targets) and all(target["health"] == "up" for target in targets)


def _age_seconds(target: dict[str, Any]) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(target["lastScrape"])).total_seconds()


def _query_check(prometheus: Prometheus) -> Check:
    value = prometheus.scalar(PROXY_IS_UP)
    return judged(
        "a query succeeds", f"{PROXY_IS_UP} = {value}", ok=value == 1, hint="see the target above"
    )


def _rules_check(prometheus: Prometheus, poller: Poller) -> Check:
    expected = {alert.name for alert in alerts(Thresholds())}

    def problems() -> list[str]:
        rules = prometheus.alert_rules()
        missing = [f"{name} is not loaded" for name in sorted(expected - rules.keys())]
        unhealthy = [
            f"{name}: {rule.get('lastError') or rule['health']}"
            for name, rule in rules.items()
            # The health is "unknown" until the first evaluation, which is up to an interval away.
            if rule["health"] == "err"
        ]
        return missing + unhealthy

    found = poller.until(
        problems, lambda found: not found, timeout=_first_scrape_timeout(prometheus)
    )
    return judged(
        "alert rules are loaded and healthy",
        "; ".join(found) or f"{len(expected)} rules",
        ok=not found,
        hint="run `make up` again, which loads them; " + OWN_FILES,
    )


def _firing_check(prometheus: Prometheus) -> Check:
    firing = prometheus.firing()
    return passed("firing alerts", ", ".join(firing) or "none")
