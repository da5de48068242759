"""Run a Procfile's processes together: all of them, or none.

honcho starts them, prefixes their output and stops the rest when one ends. This module adds which
one ended first, a clean stop when the terminal closes, and a callback once all have started.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile  # type: ignore[import-untyped]
from honcho.manager import SIGNALS, Manager  # type: ignore[import-untyped]
from honcho.printer import Printer  # type: ignore[import-untyped]
from honcho.process import Process  # type: ignore[import-untyped]

from ops.terminal.console import mute
from ops.terminal.status import Terminal

STOPPED_BY_SIGNAL = frozenset(entry["rc"] for entry in SIGNALS.values())
RETRY_SECONDS = 0.1


class _Process(Process):  # type: ignore[misc]  # honcho has no types
    """A process whose output is read until its end, even when the terminal closes."""

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 (honcho's signature)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        super().run(events, ignore_signals)


class _Printer(Printer):  # type: ignore[misc]  # honcho has no types
    """Prints lines as ``name | line``, and stops everything once their reader is gone.

    honcho's own prefix has the time at which the line was read. That repeats the time of a line
    that has one, and is wrong for one that a container wrote earlier.
    """

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(terminal.output)
        self._terminal = terminal

    def write(self, message: Any) -> None:  # noqa: ANN401 (honcho's type)
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        prefix = f"{message.name:<{self.width}} | "
        if message.colour and self._terminal.rewrites:
            prefix = f"\033[{message.colour}m{prefix}\033[0m"
        try:
            with self._terminal.printing() as output:
                output.writelines(f"{prefix}{line}\n" for line in text.splitlines())
        except BrokenPipeError:
            _stop_without_reader()


def _stop_without_reader() -> None:
    mute()
    os.kill(os.getpid(), signal.SIGTERM)


class Supervisor(Manager):  # type: ignore[misc]  # honcho has no types
    """Processes that start and end together.

    Args:
        on_started: Called in a thread of its own after every process was started. It gets an event
            that is set when the processes are to stop.
        terminal: Where their output is printed; standard output by default.
    """

    def __init__(
        self,
        on_started: Callable[[threading.Event], None] = lambda _stopping: None,
        terminal: Terminal | None = None,
    ) -> None:
        super().__init__(_Printer(terminal or Terminal()))
        self._process_ctor = _Process
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, args=(on_started,), daemon=True)
        self._first_ended: str | None = None

    def run(self) -> str | None:
        """Run until all have ended.

        Returns:
            None when the operator stopped them; else which ended first, and how.
        """
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        try:
            self.loop()
        except BaseException:
            self.kill()  # No process may outlive this one.
            raise
        self._stopping.set()
        return self._first_ended

    def terminate(self) -> None:
        """Stop every process; the manager calls this after a signal and after the first end."""
        if not self._all_started():  # Some have no process id yet that a signal could be sent to.
            threading.Timer(RETRY_SECONDS, self.terminate).start()
            return
        self._stopping.set()
        if self.returncode not in STOPPED_BY_SIGNAL and self._first_ended is None:
            self._first_ended = self._describe_ended()
        super().terminate()

    def _system_print(self, data: str) -> None:
        # What the manager prints in a signal handler would interrupt a line that is being printed.
        if " started (" in data or " stopped (" in data:
            super()._system_print(data)

    def _watch(self, on_started: Callable[[threading.Event], None]) -> None:
        try:
            on_started(self._stopping)
        except BrokenPipeError:
            _stop_without_reader()

    def _describe_ended(self) -> str | None:
        for name, state in self._processes.items():
            if "returncode" in state:
                return f"{name} {_describe(state['returncode'])}"
        return None

    def _start(self) -> None:
        super()._start()
        self._watcher.start()


def add_procfile(
    supervisor: Supervisor, procfile: Path, environ: Mapping[str, str], *, without: set[str]
) -> None:
    """Add the processes of ``procfile`` except those in ``without``; they run in its folder."""
    for name, command in parse_procfile(procfile.read_text(encoding="utf-8")).processes.items():
        if name not in without:
            supervisor.add_process(name, command, env=dict(environ), cwd=str(procfile.parent))


def _describe(returncode: int) -> str:
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"
