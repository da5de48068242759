"""A command's own processes: their output goes to files, and none outlives the command."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from ops.checkout import ROOT
from ops.processes.polling import Poller
from ops.terminal.console import OperatorError

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
LAST_LINES: Final = 5


class Process:
    """A started process.

    It has a session of its own, so that Ctrl-C reaches only the command, which then ends it.

    Args:
        command: Program and arguments; runs in the checkout.
        log: File that its output is appended to.
        environ: Added to this process's environment.
    """

    def __init__(self, command: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        self._name = log.stem
        self._log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603 (commands of this package)
                command,
                cwd=ROOT,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_ready(self, is_ready: Callable[[], bool]) -> None:
        """Wait until ``is_ready`` returns True; else end the process and raise OperatorError."""
        ready = Poller().until(
            is_ready,
            lambda ready: ready or self._popen.poll() is not None,
            timeout=START_SECONDS,
        )
        if not ready:
            self.end()
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            last = "\n".join(lines[-LAST_LINES:])
            raise OperatorError(f"{self._name} did not start; its last lines:\n{last}")

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """What it ended with, negative for a signal; None while it runs."""
        return self._popen.poll()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Kill it, so that it can't clean up."""
        self._popen.kill()
        self._popen.wait()

    def end(self) -> None:
        """Terminate it, and kill it when that takes too long."""
        self._popen.terminate()
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
