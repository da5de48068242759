"""``python -m tests.soak`` (``make soak``): the long run.

Exit code 0 when all is accounted for, 1 when something is not, 2 when the run could not be held.
Ctrl-C ends it early (130).
"""

import argparse
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ops.report import Check, Outcome, Report, judged, passed
from ops.system.console import OperatorError, run_command, say
from ops.system.interrupts import interruptible
from ops.system.polling import Poller
from ops.system.process import prometheus_binary
from tests.soak.books import Account, Ending, Sums, by_status, differences, read_log, settle
from tests.soak.clients import Book, asking
from tests.soak.faults import Tormentor
from tests.soak.parts import Parts, counted

CANNOT_RUN = 2
REST_SECONDS = 60.0
MEMORY_GROWTH_BYTES = 16 * 1024 * 1024
"""What the proxy's memory may move by itself: the allocator keeps some of what it freed."""
_MIB = 1024 * 1024
_SHOWN = 5
_LOG_HINT = "search the proxy's log for the request ids"


@dataclass(frozen=True)
class Pace:
    """What comes before the first measurement.

    Attributes:
        warm_up_seconds: Traffic by which caches fill and pools of memory grow, once.
        settling_seconds: Rest after it, longer than the proxy keeps a connection to the engine
            here.
    """

    warm_up_seconds: float = 10.0
    settling_seconds: float = 5.0


@dataclass(frozen=True)
class Possessions:
    """What the proxy holds while nobody asks for anything."""

    descriptors: int
    memory_bytes: int

    def __str__(self) -> str:
        """Write both."""
        return f"{self.descriptors} descriptors, {self.memory_bytes / _MIB:.1f} MiB"


@dataclass(frozen=True)
class Outcomes:
    """What there is to judge at the end."""

    book: Book
    account: Account
    counted: Sums
    in_prometheus: Sums
    before: Possessions
    after: Possessions
    lowest_up: float | None
    unfinished: float


def main(arguments: Sequence[str], pace: Pace | None = None) -> int:
    """Hold the run and return the exit code."""
    options = _parser().parse_args(arguments)
    report = Report((lambda _line: None) if options.json else say)
    try:
        with interruptible():
            prometheus_binary()
            outcomes = _hold(options, report, pace or Pace())
    except OperatorError as error:
        sys.stderr.write(f"error: {error}\n")
        return CANNOT_RUN
    report.section("(3) The books", _book_checks(outcomes))
    report.section("(4) What is left", _rest_checks(outcomes))
    if options.json:
        say(report.as_json())
    report.tell(f"\n{report.summary}")
    return 1 if report.count(Outcome.FAIL) else 0


def _hold(options: argparse.Namespace, report: Report, pace: Pace) -> Outcomes:
    seconds = options.minutes * 60
    report.tell(f"{options.clients} clients for {options.minutes:g} minutes, seed {options.seed}")
    with Parts(options.model) as parts:
        book, model = Book(), parts.model
        with asking(parts.proxy, model, options.clients, book, seed=10_000_000 + options.seed):
            threading.Event().wait(pace.warm_up_seconds)
        threading.Event().wait(pace.settling_seconds)
        parts.await_scrape()
        before = _possessions(parts)
        report.section("(1) At rest, after a warm-up", [passed("held", str(before))])
        tormentor = Tormentor(parts, options.seed)
        started = time.monotonic()
        with (
            asking(parts.proxy, model, options.clients, book, seed=options.seed),
            tormentor.at_work(),
        ):
            threading.Event().wait(seconds)
        lasted = round(time.monotonic() - started)
        done = ", ".join(f"{what} {times}" for what, times in sorted(tormentor.done.items()))
        report.section(f"(2) Traffic for {lasted} s", [passed("engine", done or "left alone")])
        after = Poller().until(
            lambda: _possessions(parts),
            lambda held: held.descriptors <= before.descriptors,
            timeout=REST_SECONDS,
        )
        return _look_at(parts, book, before, after, started)


def _look_at(
    parts: Parts, book: Book, before: Possessions, after: Possessions, started: float
) -> Outcomes:
    exposition = parts.scrape()
    in_metrics = counted(exposition)
    in_prometheus = Poller().until(
        parts.counted_by_prometheus, lambda sums: sums == in_metrics, timeout=30
    )
    gauges = ("active", "running", "queued")
    return Outcomes(
        book=book,
        account=settle(book.entries, read_log(parts.log())),
        counted=in_metrics,
        in_prometheus=in_prometheus,
        before=before,
        after=after,
        lowest_up=parts.lowest_up(started),
        unfinished=sum(exposition.total(f"mistral_{gauge}_requests") for gauge in gauges),
    )


def _possessions(parts: Parts) -> Possessions:
    exposition = parts.scrape()
    return Possessions(
        int(exposition.total("process_open_fds")),
        int(exposition.total("process_resident_memory_bytes")),
    )


def _book_checks(outcomes: Outcomes) -> Iterator[Check]:
    account, entries = outcomes.account, outcomes.book.entries
    broken = [entry for entry in entries if entry.ending is Ending.BROKEN]
    yield judged(
        "every answer had a proper end",
        f"{len(broken)} of {len(entries)} had none {broken[:_SHOWN] or ''}".strip(),
        ok=not broken,
        hint=_LOG_HINT,
    )
    faults: dict[str, Sequence[object]] = {
        "unknown to the log": account.missing,
        "finished twice": account.repeated,
        "in the log alone": account.strangers,
        "ended otherwise than told": account.contradicted,
    }
    for what, found in faults.items():
        evidence = f"{len(found)} {found[:_SHOWN] or ''}".strip()
        yield judged(f"requests {what}", evidence, ok=not found, hint=_LOG_HINT)
    sums = by_status(account.sums)
    words = f"sent {len(entries)} = " + " + ".join(f"{n} {status}" for status, n in sums.items())
    left = f"{account.overtaken} who left had their answer already"
    yield judged(
        "sent = answered + refused + failed + cancelled",
        f"{words}; {left}",
        ok=sum(sums.values()) == len(entries) > 0,
        hint=_LOG_HINT,
    )
    yield judged(
        "the engine answered between its faults",
        f"{sums.get('success', 0)} answers",
        ok=sums.get("success", 0) > 0,
        hint="the model is too slow for so many clients: fewer --clients, or a smaller MODEL",
    )
    for where, found_there in (
        ("/metrics", outcomes.counted),
        ("Prometheus", outcomes.in_prometheus),
    ):
        differing = differences(account.sums, found_there)
        yield judged(
            f"{where} has the same",
            "; ".join(differing) or f"{sum(found_there.values())} requests",
            ok=not differing,
            hint="compare with the log",
        )


def _rest_checks(outcomes: Outcomes) -> Iterator[Check]:
    before, after = outcomes.before, outcomes.after
    yield judged(
        "descriptors are back where they began",
        f"{before.descriptors}, then {after.descriptors}",
        ok=after.descriptors <= before.descriptors,
        hint="look at /proc/PID/fd for what they are",
    )
    yield judged(
        "memory is back where it began",
        f"{before.memory_bytes / _MIB:.1f} MiB, then {after.memory_bytes / _MIB:.1f} MiB",
        ok=after.memory_bytes <= before.memory_bytes + MEMORY_GROWTH_BYTES,
        hint="run for longer: a leak grows with the time",
    )
    yield judged(
        "nothing runs or waits",
        f"{outcomes.unfinished:g} requests",
        ok=not outcomes.unfinished,
        hint="a gauge that does not come down is a request that nobody ended",
    )
    yield judged(
        "every scrape was answered",
        f"lowest up: {outcomes.lowest_up}",
        ok=outcomes.lowest_up == 1,
        hint="the metrics must answer whatever the traffic is",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make soak",
        description="Mixed traffic with faults; at the end every request is accounted for.",
    )
    parser.add_argument("--minutes", type=float, default=30, help="how long (30)")
    parser.add_argument("--model", default="", help="what the engine serves (its default)")
    parser.add_argument("--clients", type=int, default=24, help="how many ask at once (24)")
    parser.add_argument("--seed", type=int, default=1, help="another one, another order (1)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
