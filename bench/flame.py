"""Flame graphs of the proxy under load, sampled with py-spy."""

import os
import re
import subprocess
from pathlib import Path

from bench.load import MEASURES
from bench.machine import BenchError, cores, installed
from bench.subjects import Subject

# One load each whose cost is mostly requests, bytes, and single chunks.
_LOADS = (("unary", 32), ("burst", 32), ("paced", 128))
_TITLE = re.compile(r'(id="title"[^>]*>)[^<]*<')
_SECONDS = 5
_SAMPLES_PER_SECOND = 200


def draw(proxy: Subject, folder: Path) -> None:
    """Write a flame graph for each kind of load: ``flame-KIND.svg``.

    Raises:
        BenchError: py-spy is not allowed to trace the proxy.
    """
    core, _ = cores()
    for kind, connections in _LOADS:
        picture = folder / f"flame-{kind}.svg"
        command = [str(installed("py-spy")), "record", "--output", str(picture)]
        command += ["--duration", str(_SECONDS), "--rate", str(_SAMPLES_PER_SECOND)]
        command += ["--pid", str(proxy.process.pids()[0])]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as spy:  # noqa: S603
            os.sched_setaffinity(spy.pid, {core})
            MEASURES[kind](proxy, connections, _SECONDS + 2)
        if spy.returncode:
            raise BenchError("py-spy failed: run the benchmark as root, or allow ptrace")
        # py-spy's title is its command line, with this machine's paths.
        drawn = picture.read_text(encoding="utf-8")
        title = f"this proxy, {kind}, {connections} connections"
        picture.write_text(_TITLE.sub(rf"\g<1>{title}<", drawn, count=1), encoding="utf-8")
