"""The servers that the benchmark starts: pinned to a core, measured, and stopped again."""

import http.client
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.machine import ROOT, WORK, BenchError, raise_priority

_TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
_POLL_SECONDS = 0.05


class Process:
    """A server. As a context manager it starts, and kills the server and all its children."""

    def __init__(  # noqa: PLR0913  all but two are keywords
        self,
        name: str,
        command: Sequence[str],
        *,
        port: int,
        core: int,
        environ: Mapping[str, str] | None = None,
        health: str = "/v1/models",
        start_timeout_seconds: float = 30,
    ) -> None:
        self.name = name
        self.port = port
        self._command = command
        self._core = core
        self._environ = {**os.environ, **(environ or {})}
        self._health = health
        self._start_timeout_seconds = start_timeout_seconds
        self._log = WORK / f"{name}.log"
        self._popen: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(  # noqa: S603  the benchmark's own commands
                self._command,
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        os.sched_setaffinity(self._popen.pid, {self._core})
        raise_priority(self._popen.pid)
        self._await_ready()
        for pid in self.pids():
            os.sched_setaffinity(pid, {self._core})
        return self

    def __exit__(self, *_: object) -> None:
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def pids(self) -> list[int]:
        """Return the ids of the process and all its descendants."""
        found = [self._popen.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes so far, in steps of 10 ms."""
        return sum(_cpu_ticks(pid) for pid in self.pids()) * _TICK_SECONDS

    def rss_kib(self) -> int:
        """Return the resident memory of all its processes."""
        return sum(_rss_kib(pid) for pid in self.pids())

    def _await_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout_seconds
        while not self._responds():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{self.name} did not start; see {self._log}")
            time.sleep(_POLL_SECONDS)

    def _responds(self) -> bool:
        try:
            return fetch(self.port, self._health) < http.client.INTERNAL_SERVER_ERROR
        except OSError:
            return False


def fetch(port: int, path: str) -> int:
    """GET a path of a server on loopback, read the whole body and return the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]
    return int(user) + int(system)


def _rss_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
