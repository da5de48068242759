"""Run a Procfile's processes together: all of them, or none.

honcho starts them, prefixes their output and stops the rest when one ends. Added here: who ended
first, a clean stop when the terminal closes, and a moment to act once all have started.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile  # type: ignore[import-untyped]
from honcho.manager import SIGNALS, Manager  # type: ignore[import-untyped]
from honcho.printer import Printer  # type: ignore[import-untyped]
from honcho.process import Process  # type: ignore[import-untyped]

from ops.system.console import mute

STOPPED_BY_SIGNAL = frozenset(entry["rc"] for entry in SIGNALS.values())
RETRY_SECONDS = 0.1


class _Process(Process):  # type: ignore[misc]  # honcho has no types
    """A process whose output reader outlives a closing terminal, so that its end is still told."""

    def run(self, events: Any = None, ignore_signals: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 (honcho's signature)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        super().run(events, ignore_signals)


class _Printer(Printer):  # type: ignore[misc]  # honcho has no types
    """Prints lines while somebody reads them; else stops the whole, as a program in a pipe does."""

    def write(self, message: Any) -> None:  # noqa: ANN401 (honcho's type)
        try:
            super().write(message)
        except BrokenPipeError:
            _reader_is_gone()


def _reader_is_gone() -> None:
    mute()
    os.kill(os.getpid(), signal.SIGTERM)


class Supervisor(Manager):  # type: ignore[misc]  # honcho has no types
    """Processes that live and end together.

    Args:
        on_started: Called once in a thread of its own after every process was started; gets an
            event that is set when the processes are to stop.
    """

    def __init__(
        self, on_started: Callable[[threading.Event], None] = lambda _stopping: None
    ) -> None:
        super().__init__(_Printer(sys.stdout))
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
            self.kill()  # whatever went wrong, no process may outlive us
            raise
        self._stopping.set()
        return self._first_ended

    def terminate(self) -> None:
        """Stop every process; the manager calls this after a signal and after the first end."""
        if not self._all_started():  # a signal in the first moments: no process id to send it to
            threading.Timer(RETRY_SECONDS, self.terminate).start()
            return
        self._stopping.set()
        if self.returncode not in STOPPED_BY_SIGNAL and self._first_ended is None:
            self._first_ended = self._describe_ended()
        super().terminate()

    def _watch(self, on_started: Callable[[threading.Event], None]) -> None:
        try:
            on_started(self._stopping)
        except BrokenPipeError:
            _reader_is_gone()

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
    """Add the processes of ``procfile`` but those in ``without``; they run in its folder."""
    for name, command in parse_procfile(procfile.read_text(encoding="utf-8")).processes.items():
        if name not in without:
            supervisor.add_process(name, command, env=dict(environ), cwd=str(procfile.parent))


def _describe(returncode: int) -> str:
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"
