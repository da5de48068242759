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

from ops.clients.exposition import Exposition
from ops.processes.polling import Poller
from ops.prometheus.programs import require_programs
from ops.report import Outcome, Report, passed
from ops.terminal.console import OperatorError, say
from ops.terminal.interrupts import interruptible
from tests.soak.checks import Measurements, ResourceUsage, request_checks, resource_checks
from tests.soak.clients import Results, running_clients
from tests.soak.faults import FaultInjector
from tests.soak.reconciliation import read_log, reconcile
from tests.soak.system import SystemUnderTest, counts_in

CANNOT_RUN = 2
REST_TIMEOUT_SECONDS = 60.0
PROMETHEUS_TIMEOUT_SECONDS = 30.0

# Added to the seed for the warm-up, so that its request ids differ from the run's.
WARM_UP_SEED = 10_000_000


@dataclass(frozen=True)
class WarmUp:
    """What precedes the first measurement.

    Attributes:
        traffic_seconds: Traffic that fills caches and memory pools.
        rest_seconds: Rest afterwards, longer than the proxy keeps an idle engine connection here.
    """

    traffic_seconds: float = 10.0
    rest_seconds: float = 5.0


def main(arguments: Sequence[str], warm_up: WarmUp | None = None) -> int:
    """Run the test and return the exit code."""
    options = _parser().parse_args(arguments)
    report = Report((lambda _line: None) if options.json else say)
    try:
        with interruptible():
            require_programs()
            measured = _run(options, report, warm_up or WarmUp())
    except OperatorError as error:
        sys.stderr.write(f"error: {error}\n")
        return CANNOT_RUN
    report.section("Requests", request_checks(measured))
    report.section("Resources", resource_checks(measured))
    if options.json:
        say(report.as_json())
    report.write_line(f"\n{report.summary}")
    return 1 if report.count(Outcome.FAIL) else 0


def _run(options: argparse.Namespace, report: Report, warm_up: WarmUp) -> Measurements:
    clients, seed = options.clients, options.seed
    report.write_line(f"{clients} clients for {options.minutes:g} minutes, seed {seed}")
    with SystemUnderTest(options.model) as system:
        results, model = Results(), system.model
        with running_clients(system.proxy, model, clients, results, seed=WARM_UP_SEED + seed):
            threading.Event().wait(warm_up.traffic_seconds)
        threading.Event().wait(warm_up.rest_seconds)
        system.await_scrape()
        before = _resource_usage(system.scrape())
        report.section("At rest after the warm-up", [passed("the proxy holds", str(before))])
        faults = FaultInjector(system, seed)
        started = time.monotonic()
        with (
            running_clients(system.proxy, model, clients, results, seed=seed),
            faults.running(),
        ):
            threading.Event().wait(options.minutes * 60)
        seconds = round(time.monotonic() - started)
        injected = ", ".join(f"{kind}: {times}" for kind, times in sorted(faults.injected.items()))
        check = passed("faults of the engine", injected or "none")
        report.section(f"Traffic for {seconds} s", [check])
        return _measure(system, results, before, started)


def _measure(
    system: SystemUnderTest, results: Results, before: ResourceUsage, started: float
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
    parser.add_argument("--clients", type=int, default=24, help="number of clients (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=1, help="seed of the random choices (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser
