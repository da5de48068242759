"""Run the attack test.

Exit code: 0 if the proxy withstood every attack, 1 if a check failed, 2 if the test could not run,
130 after Ctrl-C.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from monitoring.names import SCRAPE_INTERVAL_SECONDS
from ops.checkout import ROOT
from ops.processes.polling import Poller
from ops.report import Outcome, Report
from ops.terminal.console import OperatorError, say
from ops.terminal.interrupts import interruptible
from tests.attacks.attack import Attack
from tests.attacks.findings import (
    Finding,
    Limits,
    Sent,
    Times,
    attack_checks,
    final_checks,
    quiet_checks,
)
from tests.attacks.proxy import PROGRAM, Restarts
from tests.attacks.results import Conditions, Results, table_of
from tests.attacks.system import Setting, System, running_system
from tests.attacks.table import ATTACKS

CANNOT_RUN: Final = 2
_RESULTS: Final = "results.json"
_FOLDER: Final = ROOT / ".run" / "attacks"
# Starting the attacking process, preparing what it sends, and what it gets on a busy machine.
_PREPARATION_SECONDS: Final = 90.0
_MEMORY_TIMEOUT_SECONDS: Final = 30.0
_SHOWN_CHARACTERS: Final = 500


@dataclass(frozen=True)
class Schedule:
    """The times of a run that a short one shortens, and what its checks allow.

    Attributes:
        warm_up_seconds: Traffic before the first measurement, which fills caches and pools.
        quiet_seconds: How long the traffic is measured without an attack.
        pause_seconds: Pause after each attack, which still counts as part of it.
        scrape_seconds: Time between two scrapes.
        limits: What the checks allow.
    """

    warm_up_seconds: float = 10.0
    quiet_seconds: float = 30.0
    pause_seconds: float = 5.0
    scrape_seconds: float = SCRAPE_INTERVAL_SECONDS
    limits: Limits = field(default_factory=Limits)


def main(
    arguments: Sequence[str], schedule: Schedule | None = None, program: Sequence[str] = PROGRAM
) -> int:
    """Run the test and return the exit code; ``program`` as in `Setting`."""
    options = _parser().parse_args(arguments)
    if options.list:
        for attack in ATTACKS:
            say(f"{attack.name}: {attack.sends} Aims at: {attack.aims_at}.")
        return 0
    report = Report((lambda _line: None) if options.json else say)
    try:
        if options.table:
            say(table_of(options.folder / _RESULTS))
            return 0
        with interruptible():
            _Run(options, schedule or Schedule(), report).run(program)
    except OperatorError as error:
        sys.stderr.write(f"error: {error}\n")
        return CANNOT_RUN
    if options.json:
        say(report.as_json())
    report.write_line(f"\n{report.summary}")
    return 1 if report.count(Outcome.FAIL) else 0


class _Run:
    """One run of the test."""

    def __init__(self, options: argparse.Namespace, schedule: Schedule, report: Report) -> None:
        self._options = options
        self._schedule = schedule
        self._limits = schedule.limits
        self._report = report
        options.folder.mkdir(parents=True, exist_ok=True)
        self._results = Results(
            options.folder / _RESULTS,
            conditions(options.seconds, options.image, options.engine),
        )
        if options.resume:
            self._results.load()

    def run(self, program: Sequence[str]) -> None:
        """Attack in all ways that the options name, or in all that there are."""
        options, schedule = self._options, self._schedule
        chosen = [one for one in ATTACKS if not options.only or one.name in options.only]
        for attack in chosen:
            self._judge(attack, self._results.of(attack))
        left = [attack for attack in chosen if self._results.of(attack) is None]
        if not left:
            return
        setting = Setting(
            options.folder, schedule.scrape_seconds, options.engine, options.image, program
        )
        with running_system(setting) as system:
            threading.Event().wait(schedule.warm_up_seconds)
            system.forget()
            after_warm_up = system.memory.now
            threading.Event().wait(schedule.quiet_seconds)
            system.await_events()
            quiet = _finding(system, "no attack", Sent(), after_warm_up, self._limits)
            self._report.section("Nobody attacks", quiet_checks(quiet, self._limits))
            for attack in left:
                self._judge(attack, self._attack(attack, system, quiet))
            at_end = Poller().until(
                lambda: system.memory.now,
                lambda now: now <= after_warm_up + self._limits.memory_growth_bytes,
                timeout=_MEMORY_TIMEOUT_SECONDS,
            )
        self._report.section("At the end", final_checks(after_warm_up, at_end, self._limits))

    def _judge(self, attack: Attack, found: Finding | None) -> None:
        """Keep a finding, and check it."""
        if found is None:
            return
        self._results.add(found)
        self._report.section(
            f"{attack.name}: {attack.sends} Aims at: {attack.aims_at}.",
            attack_checks(attack, found, self._limits),
        )

    def _attack(self, attack: Attack, system: System, quiet: Finding) -> Finding:
        before, restarts = system.memory.now, system.proxy.restarts()
        sent = _send(attack, system, self._options.seconds)
        threading.Event().wait(self._schedule.pause_seconds)
        system.await_events(clients=not attack.takes_slots)
        found = _finding(system, attack.name, sent, before, self._limits)
        after = system.proxy.restarts()
        ended = Restarts(after.number - restarts.number, after.last_end)
        return replace(found, restarts=ended, usual_p95=quiet.clients.p95)


def _send(attack: Attack, system: System, seconds: float) -> Sent:
    """Run an attack's process to its end."""
    given = json.dumps({"target": asdict(system.target), "seconds": seconds})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.attacks.attacker", attack.name],
            input=given,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + _PREPARATION_SECONDS,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return Sent(error="the attacking process did not end in time")
    if done.returncode:
        return Sent(error=f"the attacking process failed: {done.stderr[-_SHOWN_CHARACTERS:]}")
    return Sent(**json.loads(done.stdout))


def _finding(system: System, name: str, sent: Sent, before: int, limits: Limits) -> Finding:
    """Return what was observed since the last call; ``before`` is the memory then, in bytes."""
    return Finding(
        name=name,
        sent=sent,
        livez=Times.of(system.livez.take(), limits.livez_seconds),
        clients=Times.of(system.clients.take()),
        scrapes=Times.of(system.scrapes.take()),
        memory_before=before,
        memory_peak=system.memory.take_peak(),
        memory_after=system.memory.now,
    )


def conditions(seconds: float, image: str, engine: str) -> Conditions:
    """Return what findings of runs with these options have in common."""
    return {
        "seconds": seconds,
        "proxy": image or "a process",
        "engine": engine or "the stand-in",
        "machine": f"{os.cpu_count()} processors, {platform.machine()}",
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make attacks",
        description="Attack a proxy that ordinary clients use, in many ways, one after the other.",
    )
    parser.add_argument(
        "--seconds", type=float, default=60, help="duration of each attack (%(default)g)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=[attack.name for attack in ATTACKS],
        metavar="NAME",
        help="run only these attacks",
    )
    parser.add_argument("--list", action="store_true", help="list the attacks and run none")
    parser.add_argument(
        "--image", default="", help="run the proxy as a container of this image (as a process)"
    )
    parser.add_argument(
        "--engine", default="", help="URL of a real engine to use (a stand-in is started)"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        default=_FOLDER,
        help="folder for the results and logs (.run/attacks)",
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip attacks that the results have already"
    )
    parser.add_argument(
        "--table", action="store_true", help="print the results as a table and attack nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    return parser
