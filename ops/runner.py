"""The one place where operator commands start other programs; tests put their own in its place."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ops.console import ROOT


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
        return subprocess.run(  # noqa: S603 (commands of this package)
            command, cwd=ROOT, env={**os.environ, **environ}, check=False
        ).returncode

    def which(self, program: str) -> str | None:
        """Return where a program is on PATH."""
        return shutil.which(program)
