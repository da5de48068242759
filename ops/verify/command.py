"""Check a running demo or stack end to end, with real traffic.

Exit code: 0 if every check passed or was skipped, 1 if one failed, 2 if the proxy can't be reached
and so nothing could be checked.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from http import HTTPStatus

from monitoring.names import DASHBOARD_UID
from ops.clients import web
from ops.clients.proxy import ProxyApi, keys_of
from ops.processes.polling import Poller
from ops.report import Outcome, Report, skipped
from ops.running.targets import Targets, find_targets, links
from ops.terminal.console import say
from ops.verify.counts import TrafficTest
from ops.verify.endpoints import endpoint_checks
from ops.verify.exposition import exposition_checks
from ops.verify.grafana import grafana_checks
from ops.verify.scraping import SECTION as SCRAPING
from ops.verify.scraping import scraping_checks

GENERATION_TIMEOUT_SECONDS = 120.0
OVERRIDES = ("proxy", "engine", "prometheus", "grafana", "grafana_user", "grafana_password")


def main(arguments: Sequence[str]) -> int:
    """Run every check and return the exit code."""
    options = _parser().parse_args(arguments)
    write_line = (lambda _line: None) if options.json else say
    targets = _find_targets(options)
    write_line(f"Checking {targets.origin}: {targets.proxy}")
    if (error := _access_error(targets.proxy_api)) is not None:
        sys.stderr.write(f"error: {error}\n")
        return 2
    report = Report(write_line)
    _run_sections(report, targets, options)
    if options.json:
        say(report.as_json())
    report.heading("Links")
    for title, url in links(targets, DASHBOARD_UID).items():
        write_line(f"  {title:<19}{url}")
    write_line(f"\n{report.summary}")
    return 1 if report.count(Outcome.FAIL) else 0


def _run_sections(report: Report, targets: Targets, options: argparse.Namespace) -> None:
    prometheus = targets.prometheus_api
    report.section("Endpoints", endpoint_checks(targets))
    report.section("Metrics", exposition_checks(targets.proxy_api))
    poller = Poller(options.max_wait)
    absent = [
        skipped(
            "Prometheus", "there is none", "`make prometheus` fetches it; then start the demo again"
        )
    ]
    scraping = scraping_checks(prometheus, poller) if prometheus else absent
    report.section(SCRAPING, scraping)
    report.section("Grafana", grafana_checks(targets))
    if options.no_traffic:
        report.section("Traffic", [skipped("test traffic", "--no-traffic")])
        return
    test = TrafficTest(targets.proxy_api, prometheus, options.model, options.timeout, poller)
    report.section("Traffic", test.checks())


def _access_error(proxy: ProxyApi) -> str | None:
    """Return why the proxy can't be checked at all; None if it can."""
    try:
        status = proxy.get("/api/version").status
    except web.UnreachableError:
        return (
            f"no response from {proxy.url}; start the proxy with `make demo` or `make up`, or "
            "give its URL with --proxy"
        )
    if status == HTTPStatus.UNAUTHORIZED:
        return f"{proxy.url} requires another API key; set API_KEY_FILE or API_KEY to it"
    return None


def _find_targets(options: argparse.Namespace) -> Targets:
    given = {
        name: getattr(options, name, None) or os.environ.get(_variable(name)) for name in OVERRIDES
    }
    given["api_key"], given["metrics_key"] = keys_of(os.environ)
    if given["proxy"]:  # the services that run here may belong to another proxy
        return Targets("the given URLs", given["proxy"]).overridden(given)
    return find_targets(options.stack).overridden(given)


def _variable(name: str) -> str:
    return name.upper() if name.startswith("grafana_") else f"{name.upper()}_URL"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make verify",
        description=(
            "Check a running demo or stack. Without options: the running demo, else the stack, "
            "else the default ports."
        ),
    )
    parser.add_argument("--stack", help="check this stack, even while a demo runs")
    for service in ("proxy", "engine", "prometheus", "grafana"):
        parser.add_argument(f"--{service}", metavar="URL", help=f"also: {_variable(service)}")
    parser.add_argument(
        "--model", help="model of the test traffic (the first that the proxy lists)"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=GENERATION_TIMEOUT_SECONDS,
        help="timeout of one generation in seconds (%(default)g)",
    )
    parser.add_argument(
        "--max-wait", type=float, help="upper bound in seconds for every wait for metrics"
    )
    parser.add_argument("--no-traffic", action="store_true", help="send no requests to the model")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser
