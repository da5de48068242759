"""Start the project's servers as real processes, on free ports, and stop them.

    with running_engine(make_tiny_llama(folder)) as base_url:
        ...

Waiting is polling with a deadline. A process that ends meanwhile fails the wait at once, with its
output.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from ops import checkout
from ops.processes import ports

# The project's root: `python -m <package>` works from here.
ROOT = checkout.ROOT

# Long enough for a busy machine; nothing waits this long unless it fails.
TIMEOUT_SECONDS = 60.0
_PAUSE_SECONDS = 0.05

# Everything is on the loopback address, so the environment's HTTP proxies aren't used.
_DIRECT = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class RunningProcess:
    """A started process, whose output is written to a file."""

    popen: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        """Return its output so far, stdout and stderr together."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, condition: Callable[[], bool], *, what: str) -> None:
        """Poll until `condition` holds; fail with the output if the process ends first."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"not {what} in time:\n{self.output()}"
            self._pause(what)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.popen.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Return the exit code of a process that ends by itself."""
        return self.popen.wait(timeout=TIMEOUT_SECONDS)

    def _pause(self, what: str) -> None:
        try:
            code = self.popen.wait(timeout=_PAUSE_SECONDS)
        except subprocess.TimeoutExpired:
            return
        raise AssertionError(f"ended with {code} before it was {what}:\n{self.output()}")


def free_port() -> int:
    """Return a port of the loopback address that nothing listens on and nobody else is given."""
    return ports.free_port(ports.LOOPBACK)


def answers(url: str) -> bool:
    """Return whether a GET of `url` gets a 2xx response."""
    try:
        with _DIRECT.open(url, timeout=TIMEOUT_SECONDS):
            return True
    except (URLError, HTTPException, OSError):
        return False


@contextmanager
def start_process(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    ready_url: str | None = None,
) -> Iterator[RunningProcess]:
    """Run this Python with `arguments` in the project's root until the block ends.

    Args:
        arguments: Such as `["-m", "proxy_service"]`.
        env: Added to this process's environment.
        ready_url: Wait until this URL gets a 2xx response.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "output"
        with log.open("wb") as output:
            popen = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        process = RunningProcess(popen, log)
        try:
            if ready_url is not None:
                process.wait_until(lambda: answers(ready_url), what="ready")
            yield process
        finally:
            _end(popen)


@contextmanager
def started_engine(
    model: Path, *, env: Mapping[str, str] | None = None
) -> Iterator[tuple[RunningProcess, str]]:
    """Run the embedded engine with a model; yield the process and the base URL."""
    port = free_port()
    base_url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as cache:
        arguments = ["-m", "embedded_engine", "--model", str(model), "--port", str(port)]
        settings = {"MODEL_CACHE": cache} | dict(env or {})
        with start_process(arguments, env=settings, ready_url=f"{base_url}/health") as process:
            yield process, base_url


@contextmanager
def running_engine(model: Path) -> Iterator[str]:
    """Run the embedded engine with a model, such as `make_tiny_llama`'s; yield its base URL."""
    with started_engine(model) as (_, base_url):
        yield base_url


def _end(popen: subprocess.Popen[bytes]) -> None:
    popen.terminate()
    try:
        popen.wait(timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        popen.kill()
        popen.wait()
