"""``python -m bench`` (``make bench``) and ``python -m bench --quick`` (``make bench-quick``).

The whole run takes about 15 minutes and rewrites ``bench/results/``. The quick one takes less
than two, writes nothing and fails when a ratio has fallen below 0.8 of the recorded one.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bench.chart import to_svg
from bench.flame import draw
from bench.guard import ratios, regressions
from bench.load import MEASURES, Sample
from bench.machine import ROOT, BenchError, busy_cores, check, describe, take_precedence
from bench.memory import measure
from bench.report import to_json, to_table
from bench.subjects import DIRECT, LITELLM, OLLAMA, Subject, running
from bench.summary import Run

RESULTS = ROOT / "bench" / "results"


@dataclass(frozen=True)
class Plan:
    """What is measured, how often and for how many seconds each time."""

    cells: tuple[tuple[str, int], ...]
    repetitions: int
    seconds: float


FULL = Plan(
    cells=(
        *(("unary", connections) for connections in (1, 32, 256)),
        *(("burst", streams) for streams in (1, 32, 128)),
        *(("paced", streams) for streams in (1, 32, 128)),
        ("first", 1),
    ),
    repetitions=5,
    seconds=2,
)
QUICK = Plan(cells=(("unary", 32), ("burst", 32)), repetitions=5, seconds=2)


def main(arguments: Sequence[str]) -> int:
    """Run the bench; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="guard against regressions")
    parser.add_argument("--without-litellm", action="store_true", help="leave the slow peer out")
    options = parser.parse_args(arguments)
    try:
        check()
        take_precedence(os.getpid())
        if options.quick:
            return guard()
        full(with_litellm=not options.without_litellm)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    return 0


def full(*, with_litellm: bool) -> None:
    """Measure everything and rewrite the results."""
    RESULTS.mkdir(exist_ok=True)
    machine = describe() | {"niceness": os.nice(0)}
    with running(with_litellm=with_litellm) as subjects:
        say("memory, a soak of 200,000 requests …")
        memory = measure(subjects[OLLAMA])
        say("flame graphs …")
        draw(subjects[OLLAMA], RESULTS)
        run = Run(repeat(FULL, list(subjects.values())))
    machine["cores_busy_with_other_work_afterwards"] = round(busy_cores(), 2)
    table = to_table(run, memory, machine)
    (RESULTS / "results.txt").write_text(table)
    (RESULTS / "results.json").write_text(json.dumps(to_json(run, memory, machine), indent=1))
    (RESULTS / "results.svg").write_text(to_svg(run))
    sys.stdout.write(table)


def guard() -> int:
    """Measure the guarded ratios and hold them to the recorded ones."""
    recorded = json.loads((RESULTS / "results.json").read_text())["guarded_ratios"]
    with running(with_litellm=False) as subjects:
        compared = [subject for subject in subjects.values() if subject.name != DIRECT]
        now = ratios(Run(repeat(QUICK, compared)))
    for name, value in now.items():
        say(f"{name}: {value:.3f}, recorded {recorded.get(name, float('nan')):.3f}")
    fallen = regressions(now, recorded)
    for line in fallen:
        sys.stderr.write(f"bench: slower than recorded: {line}\n")
    return 1 if fallen else 0


def repeat(plan: Plan, subjects: list[Subject]) -> list[Sample]:
    """Take all measurements in turns, so that what else the machine does hits all alike."""
    samples = []
    for repetition in range(1, plan.repetitions + 1):
        for kind, connections in plan.cells:
            say(f"{repetition}/{plan.repetitions} {kind} {connections} …")
            samples += [
                MEASURES[kind](
                    subject, connections, seconds_for(subject, connections, plan.seconds)
                )
                for subject in subjects
                if worth_it(subject, kind)
            ]
    return samples


def worth_it(subject: Subject, kind: str) -> bool:
    """Leave out what would only show that LiteLLM's proxy is full: paced streams beyond one."""
    return subject.name != LITELLM or kind != "paced"


def seconds_for(subject: Subject, connections: int, seconds: float) -> float:
    """Give LiteLLM's proxy the time to answer each connection more than once."""
    return max(seconds, connections / 40) if subject.name == LITELLM else seconds


def say(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
