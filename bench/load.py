"""Put load on a subject and measure it. The load generators run on the engine's core."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from bench.machine import ROOT, WORK, BenchError, compile_tool, cores
from bench.subjects import Subject

EVENTS = 200
PACE_US = 5000
# Events of the short streams that time the first chunk: twenty streams a second.
_SHORT_EVENTS = 10
_WARM_MS = 300


@dataclass(frozen=True)
class Sample:
    """One measurement. Rates are per second, times in microseconds; None where not measured.

    ``generator_cpu`` and ``engine_cpu`` are shares of the core that the load and the engine use
    together. If their sum is near one, they limit the rate.
    """

    subject: str
    kind: str
    connections: int
    rate: float
    cpu_us: float
    generator_cpu: float
    engine_cpu: float
    faults: int
    first_p50_us: float | None = None
    first_p99_us: float | None = None
    delay_p50_us: float | None = None
    delay_p99_us: float | None = None

    def as_json(self) -> dict[str, object]:
        """Return what was measured."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def unary(subject: Subject, connections: int, seconds: float) -> Sample:
    """Request whole replies over ``connections`` connections, with wrk."""
    url = f"http://127.0.0.1:{subject.process.port}{subject.path}"
    script = str(ROOT / "bench" / "unary.lua")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "60s"]
    out, cpu_seconds, generator, engine = _measured(subject, [*command, "-s", script, url])
    found = re.search(r"(\d+) requests in ([\d.]+)(s|m)", out)
    if found is None:
        raise BenchError(f"wrk printed no result for {subject.name}: {out}")
    requests, wall = int(found[1]), float(found[2]) * (60 if found[3] == "m" else 1)
    not_ok = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    socket_errors = re.findall(r"(?:connect|read|write|timeout) (\d+)", out)
    return Sample(
        subject=subject.name,
        kind="unary",
        connections=connections,
        rate=requests / wall,
        cpu_us=cpu_seconds / max(requests, 1) * 1e6,
        generator_cpu=generator / wall,
        engine_cpu=engine / wall,
        faults=sum(map(int, socket_errors)) + (int(not_ok[1]) if not_ok else 0),
    )


def burst(subject: Subject, connections: int, seconds: float) -> Sample:
    """Read streams as fast as the engine writes them."""
    return _streams(subject, "burst", connections, seconds, events=EVENTS, gap_us=0)


def paced(subject: Subject, connections: int, seconds: float) -> Sample:
    """Read streams of one event every 5 ms."""
    return _streams(subject, "paced", connections, seconds, events=EVENTS, gap_us=PACE_US)


def first(subject: Subject, connections: int, seconds: float) -> Sample:
    """Read short paced streams, which have many first chunks."""
    return _streams(subject, "first", connections, seconds, events=_SHORT_EVENTS, gap_us=PACE_US)


MEASURES: dict[str, Callable[[Subject, int, float], Sample]] = {
    "unary": unary,
    "burst": burst,
    "paced": paced,
    "first": first,
}


def prompt(*, events: int, gap_us: int) -> str:
    """Return a request that sets what the scripted engine streams."""
    content = f"events={events} gap_us={gap_us}"
    body = {"model": "bench", "stream": True, "messages": [{"role": "user", "content": content}]}
    return json.dumps(body)


def stream_command(subject: Subject, connections: int, *timing: str, body: str) -> list[str]:
    """Return the command of the stream reader. ``timing`` is warm-up, window and events."""
    port = str(subject.process.port)
    return [str(compile_tool("streams")), port, subject.path, str(connections), *timing, body]


def _streams(  # noqa: PLR0913  the parameters in which the loads differ
    subject: Subject, kind: str, connections: int, seconds: float, *, events: int, gap_us: int
) -> Sample:
    # Paced streams start one after the other, so the warm-up lasts as long as a whole stream.
    warm_ms = max(_WARM_MS, events * gap_us // 1000)
    timing = (str(warm_ms), str(round(seconds * 1000)), str(events))
    body = prompt(events=events, gap_us=gap_us)
    command = stream_command(subject, connections, *timing, body=body)
    out, cpu_seconds, generator, engine = _measured(subject, command)
    found, wall = json.loads(out), seconds + warm_ms / 1000
    return Sample(
        subject=subject.name,
        kind=kind,
        connections=connections,
        rate=found["chunks"] / found["seconds"],
        cpu_us=cpu_seconds / max(found["all_chunks"], 1) * 1e6,
        generator_cpu=generator / wall,
        engine_cpu=engine / wall,
        faults=found["broken"] + found["disordered"] + found["failed"],
        first_p50_us=found["first_p50_us"],
        first_p99_us=found["first_p99_us"],
        delay_p50_us=found["delay_p50_us"],
        delay_p99_us=found["delay_p99_us"],
    )


def _measured(subject: Subject, command: Sequence[str]) -> tuple[str, float, float, float]:
    """Run a load generator.

    Returns:
        Its output, and the CPU seconds of the subject, the generator and the engine.
    """
    core, _ = cores()
    log = WORK / "load.log"
    before, engine_before = subject.process.cpu_seconds(), subject.engine.cpu_seconds()
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as popen,  # noqa: S603
    ):
        os.sched_setaffinity(popen.pid, {core})
        out = popen.stdout.read() if popen.stdout else b""
        _, status, usage = os.wait4(popen.pid, 0)
        popen.returncode = os.waitstatus_to_exitcode(status)
    if popen.returncode:
        raise BenchError(f"the load on {subject.name} failed: {log.read_text().strip()}")
    used = subject.process.cpu_seconds() - before
    engine = subject.engine.cpu_seconds() - engine_before
    return out.decode(), used, usage.ru_utime + usage.ru_stime, engine
