"""The one place where operator commands start other programs; tests put their own in its place."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from ops.system.paths import ROOT


@dataclass(frozen=True)
class Result:
    """What a finished program left: exit code, standard output, standard error."""

    code: int
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """Whether the program succeeded."""
        return self.code == 0

    @property
    def reason(self) -> str:
        """The last line that the program said, which is where most say what went wrong."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1] if lines else f"exit code {self.code}"


class Runner(Protocol):
    """Starts programs in the checkout; ``environ`` is added to this process's environment."""

    def capture(self, command: Sequence[str], environ: Mapping[str, str]) -> Result:
        """Run to the end and keep the output."""

    def show(self, command: Sequence[str], environ: Mapping[str, str]) -> int:
        """Run with the operator's terminal; return the exit code."""

    def which(self, program: str) -> str | None:
        """Return where a program is on PATH."""


class SystemRunner:
    """Runs real programs."""

    def capture(self, command: Sequence[str], environ: Mapping[str, str]) -> Result:
        """Run to the end and keep the output."""
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
            subprocess.Popen(  # noqa: S603 (commands of this package)
                command, cwd=ROOT, env={**os.environ, **environ}
            ) as program,
            _signals_left_to(program),
        ):
            return program.wait()

    def which(self, program: str) -> str | None:
        """Return where a program is on PATH."""
        return shutil.which(program)


@contextmanager
def _signals_left_to(program: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let the program end in order: half an update would leave its state locked.

    Ctrl-C reaches it through the terminal by itself; SIGTERM reaches only us, and is passed on.
    """
    handlers = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: program.terminate()),
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
