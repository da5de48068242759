"""``python -m bench`` (``make bench``) and ``python -m bench --quick`` (``make bench-quick``).

The full run takes about 15 minutes and rewrites ``bench/results/``. The quick run takes less than
two minutes, writes nothing, and fails if a ratio has fallen below 0.8 of the recorded one.
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
from bench.machine import ROOT, BenchError, busy_cores, describe, raise_priority, require_machine
from bench.memory import measure
from bench.report import to_json, to_table
from bench.subjects import DIRECT, LITELLM, OLLAMA, Subject, running
from bench.summary import Run

RESULTS = ROOT / "bench" / "results"


@dataclass(frozen=True)
class Plan:
    """What is measured, how often, and for how many seconds each time."""

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
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only check for regressions")
    parser.add_argument("--without-litellm", action="store_true", help="leave out the slow peer")
    options = parser.parse_args(arguments)
    try:
        require_machine()
        raise_priority(os.getpid())
        if options.quick:
            return run_quick()
        run_full(with_litellm=not options.without_litellm)
    except BenchError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 1
    return 0


def run_full(*, with_litellm: bool) -> None:
    """Measure everything and rewrite the results."""
    RESULTS.mkdir(exist_ok=True)
    machine = describe() | {"niceness": os.nice(0)}
    with running(with_litellm=with_litellm) as subjects:
        report_progress("memory, over 200,000 requests …")
        memory = measure(subjects[OLLAMA])
        report_progress("flame graphs …")
        draw(subjects[OLLAMA], RESULTS)
        run = Run(repeat(FULL, list(subjects.values())))
    machine["cores_busy_with_other_work_afterwards"] = round(busy_cores(), 2)
    table = to_table(run, memory, machine)
    (RESULTS / "results.txt").write_text(table)
    (RESULTS / "results.json").write_text(json.dumps(to_json(run, memory, machine), indent=1))
    (RESULTS / "results.svg").write_text(to_svg(run))
    sys.stdout.write(table)


def run_quick() -> int:
    """Measure the guarded ratios and compare them with the recorded ones."""
    recorded = json.loads((RESULTS / "results.json").read_text())["guarded_ratios"]
    with running(with_litellm=False) as subjects:
        compared = [subject for subject in subjects.values() if subject.name != DIRECT]
        now = ratios(Run(repeat(QUICK, compared)))
    for name, value in now.items():
        report_progress(f"{name}: {value:.3f}, recorded {recorded.get(name, float('nan')):.3f}")
    slower = regressions(now, recorded)
    for line in slower:
        sys.stderr.write(f"bench: slower than recorded: {line}\n")
    return 1 if slower else 0


def repeat(plan: Plan, subjects: list[Subject]) -> list[Sample]:
    """Measure the subjects in turn, so that other work of the machine affects all alike."""
    samples = []
    for repetition in range(1, plan.repetitions + 1):
        for kind, connections in plan.cells:
            report_progress(f"{repetition}/{plan.repetitions} {kind} {connections} …")
            samples += [
                MEASURES[kind](
                    subject, connections, seconds_for(subject, connections, plan.seconds)
                )
                for subject in subjects
                if is_measured(subject, kind)
            ]
    return samples


def is_measured(subject: Subject, kind: str) -> bool:
    """Return False for LiteLLM's paced streams: they would only show that it is saturated."""
    return subject.name != LITELLM or kind != "paced"


def seconds_for(subject: Subject, connections: int, seconds: float) -> float:
    """Return a duration in which LiteLLM's proxy responds to each connection more than once."""
    return max(seconds, connections / 40) if subject.name == LITELLM else seconds


def report_progress(text: str) -> None:
    """Print what is measured now."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
