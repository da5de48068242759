"""Start other programs, with a Runner that tests replace."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from ops.checkout import ROOT

# Time between two looks whether a program has ended or is to be interrupted.
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Result:
    """A finished program's exit code, standard output and standard error."""

    code: int
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Whether the program succeeded."""
        return self.code == 0

    @property
    def reason(self) -> str:
        """The last line that the program printed: most say there what went wrong."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1] if lines else f"exit code {self.code}"


@dataclass(frozen=True)
class Interruption:
    """How a relayed program is interrupted.

    Attributes:
        wanted: Set by whoever wants it to be interrupted.
        came: Set when the operator has interrupted it, with Ctrl-C or SIGTERM.
    """

    wanted: threading.Event = field(default_factory=threading.Event)
    came: threading.Event = field(default_factory=threading.Event)


class Runner(Protocol):
    """Starts programs in the checkout; ``environ`` is added to this process's environment."""

    def capture(self, command: Sequence[str], environ: Mapping[str, str]) -> Result:
        """Run to the end and return the output."""

    def show(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        """Run with the operator's terminal; return the exit code."""

    def relay(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        write_line: Callable[[str], None],
        interruption: Interruption,
    ) -> int:
        """Run with each line of output passed on; return the exit code."""

    def which(self, program: str) -> str | None:
        """Return the path of a program on PATH; None when there is none."""


class SystemRunner:
    """Runs real programs."""

    def capture(self, command: Sequence[str], environ: Mapping[str, str]) -> Result:
        """Run to the end and return the output."""
        done = subprocess.run(  # noqa: S603 (commands of this package)
            command,
            cwd=ROOT,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def show(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        """Run with the operator's terminal; return the exit code."""
        with (
            _Signals() as signals,
            subprocess.Popen(  # noqa: S603 (commands of this package)
                command, cwd=ROOT, env={**os.environ, **environ}
            ) as program,
        ):
            signals.pass_to(program)
            return program.wait()

    def relay(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        write_line: Callable[[str], None],
        interruption: Interruption,
    ) -> int:
        """Run with each line of output passed on; return the exit code."""
        with (
            _Signals(interruption.came) as signals,
            subprocess.Popen(  # noqa: S603 (commands of this package)
                command,
                cwd=ROOT,
                env={**os.environ, **environ},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as program,
        ):
            signals.pass_to(program)
            threading.Thread(
                target=_interrupt_once, args=(program, interruption.wanted), daemon=True
            ).start()
            for line in program.stdout or ():
                write_line(line.removesuffix("\n"))
            return program.wait()

    def which(self, program: str) -> str | None:
        """Return the path of a program on PATH; None when there is none."""
        return shutil.which(program)


def _interrupt_once(program: "subprocess.Popen[str]", wanted: threading.Event) -> None:
    while program.poll() is None:
        if wanted.wait(_LOOK_SECONDS):
            program.send_signal(signal.SIGINT)
            return


class _Signals:
    """Leaves SIGINT and SIGTERM to a program: half an update would leave its state locked.

    Ctrl-C reaches the program through the terminal. SIGTERM reaches only this process, also before
    there is a program, and is passed on.
    """

    def __init__(self, came: threading.Event | None = None) -> None:
        self._program: subprocess.Popen[Any] | None = None
        self._terminated = False
        self._came = came or threading.Event()

    def __enter__(self) -> Self:
        self._before = {
            signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: self._came.set()),
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._terminate),
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def pass_to(self, program: "subprocess.Popen[Any]") -> None:
        """Pass SIGTERM on to a program from now on."""
        self._program = program
        if self._terminated:
            program.terminate()

    def _terminate(self, *_: object) -> None:
        self._came.set()
        self._terminated = True
        if self._program is not None:
            self._program.terminate()
