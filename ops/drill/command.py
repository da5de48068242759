"""Make every alert fire and resolve.

Exit code: 0 if every alert behaved as it should, 1 if one did not, 2 if the drill could not run,
130 after Ctrl-C. Grafana is restored in every case.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from infra.topology import DEFAULT_STACK, GRAFANA, physical_name
from ops.checkout import ROOT
from ops.clients.docker import DockerEngine
from ops.clients.grafana import GrafanaApi
from ops.drill.conditions import NAMES
from ops.drill.grafana_session import GrafanaSession
from ops.drill.intervals import DrillConfig
from ops.drill.reachable_address import find_address
from ops.drill.sequence import Drill
from ops.processes.runner import SystemRunner
from ops.prometheus.programs import require_programs
from ops.pulumi.settings import read_stack_config
from ops.report import Outcome, Report, skipped
from ops.running.targets import Targets, find_targets
from ops.terminal.console import OperatorError, say
from ops.terminal.interrupts import interruptible

CANNOT_RUN = 2


def main(arguments: Sequence[str]) -> int:
    """Run the drill and return the exit code."""
    options = _parser().parse_args(arguments)
    report = Report((lambda _line: None) if options.json else say)
    try:
        with interruptible():
            require_programs()
            _prepare(options, report).run()
    except OperatorError as error:
        sys.stderr.write(f"error: {error}\n")
        return CANNOT_RUN
    if options.json:
        say(report.as_json())
    report.write_line(f"\n{report.summary}")
    return 1 if report.count(Outcome.FAIL) else 0


def _prepare(options: argparse.Namespace, report: Report) -> Drill:
    given = {
        "grafana": options.grafana,
        "grafana_user": options.grafana_user,
        "grafana_password": os.environ.get("GRAFANA_PASSWORD"),
    }
    targets = find_targets(options.stack).overridden(given)
    report.write_line(
        f"The drill takes several minutes. It runs on copies, not on {targets.origin}."
    )
    return Drill(report, DrillConfig(), targets, _grafana(options, report, targets), options.only)


def _grafana(
    options: argparse.Namespace, report: Report, targets: Targets
) -> GrafanaSession | None:
    if targets.grafana is None:
        report.section("Grafana", [skipped("Grafana", "there is none")])
        return None
    if targets.grafana_password is None:
        hint = "set GRAFANA_PASSWORD"
        report.section("Grafana", [skipped("Grafana", "its password is unknown", hint)])
        return None
    config = read_stack_config(ROOT, options.stack or DEFAULT_STACK)
    docker = DockerEngine(SystemRunner(), str(config.values["dockerHost"]))
    container = physical_name(GRAFANA.container, config.short_name)
    api = GrafanaApi(targets.grafana, targets.grafana_user, targets.grafana_password)
    return GrafanaSession(api, find_address(docker, container, options.reach))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make drill",
        description="Cause each alert's condition on copies and watch the alert fire and resolve.",
    )
    parser.add_argument(
        "only",
        nargs="*",
        type=_condition,
        metavar="CONDITION",
        help=f"cause only these (default: all): {', '.join(NAMES)}",
    )
    parser.add_argument("--stack", help="the stack whose Grafana takes part")
    parser.add_argument("--grafana", metavar="URL", help="use this Grafana; empty for none")
    parser.add_argument(
        "--grafana-user", metavar="NAME", help="its user; set GRAFANA_PASSWORD to the password"
    )
    parser.add_argument(
        "--reach", metavar="ADDRESS", help="address of this machine that Grafana can connect to"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


def _condition(name: str) -> str:
    if name not in NAMES:
        raise argparse.ArgumentTypeError(
            f"unknown condition {name!r}; choose from {', '.join(NAMES)}"
        )
    return name
