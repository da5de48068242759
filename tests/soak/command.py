"""Run the soak test.

Exit code: 0 if every request is accounted for, 1 if a check failed, 2 if the test could not run,
130 after Ctrl-C.
"""

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from ops.clients.exposition import Exposition
from ops.processes.polling import Poller
from ops.prometheus.programs import require_programs
from ops.report import Outcome, Report, passed
from ops.terminal.console import OperatorError, say
from ops.terminal.interrupts import interruptible
from tests.soak.checks import Measurements, ResourceUsage, request_checks, resource_checks
from tests.soak.clients import Results, running_clients
from tests.soak.explanation import Window, explain
from tests.soak.faults import FaultInjector
from tests.soak.reconciliation import read_log, reconcile
from tests.soak.system import MOST_CLIENTS, SystemUnderTest, counts_in

CANNOT_RUN = 2
REST_TIMEOUT_SECONDS = 60.0
PROMETHEUS_TIMEOUT_SECONDS = 30.0

# Added to the seed, so that request ids are unique in the log: those of the warm-up and those of
# the additional clients of an overload.
WARM_UP_SEED = 10_000_000
OVERLOAD_SEED = 20_000_000
# More than the proxy admits, however few clients there are otherwise.
OVERLOAD_CLIENTS = 3 * MOST_CLIENTS


@dataclass(frozen=True)
class Schedule:
    """The times of a run that a short one shortens.

    Attributes:
        traffic_seconds: Traffic before the first measurement, which fills caches and memory pools.
        rest_seconds: Rest afterwards, longer than the proxy keeps an idle engine connection here.
        between_faults_seconds: Shortest and longest time between two faults. Long enough for
            several answers.
    """

    traffic_seconds: float = 10.0
    rest_seconds: float = 5.0
    between_faults_seconds: tuple[float, float] = (10.0, 25.0)


def main(arguments: Sequence[str], schedule: Schedule | None = None) -> int:
    """Run the test and return the exit code."""
    options = _parser().parse_args(arguments)
    report = Report((lambda _line: None) if options.json else say)
    try:
        with interruptible():
            require_programs()
            measured = _run(options, report, schedule or Schedule())
    except OperatorError as error:
        sys.stderr.write(f"error: {error}\n")
        return CANNOT_RUN
    report.section("Requests", request_checks(measured))
    report.section("Resources", resource_checks(measured))
    if options.json:
        say(report.as_json())
    report.write_line(f"\n{report.summary}")
    return 1 if report.count(Outcome.FAIL) else 0


def _run(options: argparse.Namespace, report: Report, schedule: Schedule) -> Measurements:
    clients, seed = options.clients, options.seed
    report.write_line(f"{clients} clients for {options.minutes:g} minutes, seed {seed}")
    with SystemUnderTest(options.model) as system:
        results, model = Results(), system.model
        with running_clients(system.proxy, model, clients, results, seed=WARM_UP_SEED + seed):
            threading.Event().wait(schedule.traffic_seconds)
        threading.Event().wait(schedule.rest_seconds)
        system.await_scrape()
        before = _resource_usage(system.scrape())
        report.section("At rest after the warm-up", [passed("the proxy holds", str(before))])
        seeds = count(OVERLOAD_SEED + seed, OVERLOAD_CLIENTS)
        clients_of = partial(running_clients, system.proxy, model)
        faults = FaultInjector(
            system,
            seed,
            schedule.between_faults_seconds,
            lambda: clients_of(OVERLOAD_CLIENTS, results, seed=next(seeds)),
        )
        started = time.monotonic()
        with (
            clients_of(clients, results, seed=seed),
            faults.running(),
        ):
            threading.Event().wait(options.minutes * 60)
        seconds = round(time.monotonic() - started)
        injected = ", ".join(f"{kind}: {times}" for kind, times in sorted(faults.injected.items()))
        check = passed("injected faults", injected or "none")
        report.section(f"Traffic for {seconds} s", [check])
        return _measure(system, results, faults.windows, before, started)


def _measure(
    system: SystemUnderTest,
    results: Results,
    windows: Sequence[Window],
    before: ResourceUsage,
    started: float,
) -> Measurements:
    exposition = Poller().until(
        system.scrape,
        lambda now: _resource_usage(now).descriptors <= before.descriptors and not _unfinished(now),
        timeout=REST_TIMEOUT_SECONDS,
    )
    in_metrics = counts_in(exposition)
    in_prometheus = Poller().until(
        system.counts_in_prometheus,
        lambda counts: counts == in_metrics,
        timeout=PROMETHEUS_TIMEOUT_SECONDS,
    )
    return Measurements(
        results=results.entries,
        reconciliation=reconcile(results.entries, read_log(system.proxy_log())),
        explanation=explain(results.entries, windows),
        in_metrics=in_metrics,
        in_prometheus=in_prometheus,
        before=before,
        after=_resource_usage(exposition),
        lowest_up=system.lowest_up(started),
        unfinished=_unfinished(exposition),
    )


def _resource_usage(exposition: Exposition) -> ResourceUsage:
    return ResourceUsage(
        int(exposition.total("process_open_fds")),
        int(exposition.total("process_resident_memory_bytes")),
    )


def _unfinished(exposition: Exposition) -> float:
    gauges = ("active", "running", "queued")
    return sum(exposition.total(f"mistral_{gauge}_requests") for gauge in gauges)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make soak",
        description="Send mixed traffic with faults, then account for every request.",
    )
    parser.add_argument("--minutes", type=float, default=30, help="duration (%(default)s)")
    parser.add_argument("--model", default="", help="model to serve (the engine's default)")
    parser.add_argument(
        "--clients",
        type=int,
        default=6,
        choices=range(1, MOST_CLIENTS + 1),
        metavar="N",
        help=f"number of clients, at most {MOST_CLIENTS} (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the random choices (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser
