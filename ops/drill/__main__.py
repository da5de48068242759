"""``python -m ops.drill`` (``make drill``): see every alert fire and resolve.

Exit code 0 when every alert did what it should, 1 when one did not, 2 when the drill could not be
run. Ctrl-C ends it early (130); what it touched is restored in each case.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from infra.topology import DEFAULT_STACK, GRAFANA, physical_name
from ops.drill.conditions import NAMES
from ops.drill.holding import Drill
from ops.drill.pace import Pace
from ops.drill.reach import reach_of
from ops.drill.stack import Grafana
from ops.prometheus.programs import require_programs
from ops.report import Outcome, Report, skipped
from ops.services.docker_engine import DockerEngine
from ops.services.grafana_api import GrafanaApi
from ops.stack.config import read_stack_config
from ops.system.console import OperatorError, run_command, say
from ops.system.interrupts import interruptible
from ops.system.paths import ROOT
from ops.system.runner import SystemRunner
from ops.targets import Targets, find_targets

CANNOT_RUN = 2


def main(arguments: Sequence[str], pace: Pace | None = None) -> int:
    """Hold the drill and return the exit code."""
    options = _parser().parse_args(arguments)
    report = Report((lambda _line: None) if options.json else say)
    try:
        with interruptible():
            require_programs()
            _prepare(options, report, pace or Pace()).hold()
    except OperatorError as error:
        sys.stderr.write(f"error: {error}\n")
        return CANNOT_RUN
    if options.json:
        say(report.as_json())
    report.tell(f"\n{report.summary}")
    return 1 if report.count(Outcome.FAIL) else 0


def _prepare(options: argparse.Namespace, report: Report, pace: Pace) -> Drill:
    given = {
        "grafana": options.grafana,
        "grafana_user": options.grafana_user,
        "grafana_password": os.environ.get("GRAFANA_PASSWORD"),
    }
    targets = find_targets(options.stack).overridden(given)
    report.tell(f"The drill lasts some minutes; it uses copies of its own, not {targets.origin}.")
    return Drill(report, pace, targets, _grafana(options, report, targets), options.only)


def _grafana(options: argparse.Namespace, report: Report, targets: Targets) -> Grafana | None:
    if targets.grafana is None:
        report.section("(1) Grafana", [skipped("Grafana", "there is none here")])
        return None
    if targets.grafana_password is None:
        hint = "set GRAFANA_PASSWORD"
        report.section("(1) Grafana", [skipped("Grafana", "its password is not known", hint)])
        return None
    config = read_stack_config(ROOT, options.stack or DEFAULT_STACK)
    docker = DockerEngine(SystemRunner(), str(config.values["dockerHost"]))
    container = physical_name(GRAFANA.container, config.short_name)
    api = GrafanaApi(targets.grafana, targets.grafana_user, targets.grafana_password)
    return Grafana(api, reach_of(docker, container, options.reach))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make drill",
        description="Cause each alert's condition on copies and see it fire and resolve.",
    )
    parser.add_argument(
        "only",
        nargs="*",
        type=_condition,
        metavar="CONDITION",
        help=f"cause only these (all of them): {', '.join(NAMES)}",
    )
    parser.add_argument("--stack", help="the stack whose Grafana takes part")
    parser.add_argument("--grafana", metavar="URL", help="another Grafana; empty for none")
    parser.add_argument("--grafana-user", metavar="NAME", help="GRAFANA_PASSWORD has the password")
    parser.add_argument(
        "--reach", metavar="ADDRESS", help="address of this machine that Grafana reaches"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


def _condition(name: str) -> str:
    if name not in NAMES:
        raise argparse.ArgumentTypeError(f"no condition {name!r}; there are {', '.join(NAMES)}")
    return name


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
