"""The lock files: every Python package that is installed anywhere, by version and hash.

Each ``requirements.txt`` is resolved from the ``requirements.in`` beside it, for every platform and
supported Python at once. ``make lock`` changes only what the inputs require; with ``--upgrade`` it
takes the newest release of every package and updates the inputs' pins to match.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ops.checkout import ROOT
from ops.processes.runner import Runner, SystemRunner
from ops.terminal.console import OperatorError, run_command, say

INPUT = "requirements.in"
LOCK = "requirements.txt"
OLDEST_PYTHON = "3.11"
UV = ".tools/python/bin/uv"

# Folders with a lock, each with the folders whose locks set the versions that it shares.
FOLDERS: Mapping[str, tuple[str, ...]] = {
    ".": (),
    "proxy_service": (".",),
    "embedded_engine": (".",),
    "tests": (".", "embedded_engine"),
    "tests/clients": (),
    "tests/fuzz": (),
    "bench": (),
    "tools": (),
}

_PIN = re.compile(r"(?m)^(?P<name>[A-Za-z0-9._-]+)(?P<extras>\[[^\]]*\])?==(?P<version>[^\s;\\]+)")


@dataclass(frozen=True)
class Locks:
    """The locks of one checkout.

    Attributes:
        runner: Starts uv.
        root: The checkout.
    """

    runner: Runner
    root: Path

    def refresh(self, *, upgrade: bool = False) -> None:
        """Write every lock.

        Args:
            upgrade: Take the newest releases, even of packages that the inputs pin.

        Raises:
            OperatorError: An input can't be resolved; the message says why.
        """
        inputs = {folder: self.root / folder / INPUT for folder in FOLDERS}
        before = {folder: path.read_text(encoding="utf-8") for folder, path in inputs.items()}
        if not upgrade:
            self._compile_all(())
            return
        try:
            for folder, path in inputs.items():
                path.write_text(without_versions(before[folder]), encoding="utf-8")
            self._compile_all(("--upgrade",))
        except OperatorError:
            for folder, path in inputs.items():
                path.write_text(before[folder], encoding="utf-8")
            raise
        for folder, path in inputs.items():
            versions = pins((self.root / folder / LOCK).read_text(encoding="utf-8"))
            path.write_text(with_versions(before[folder], versions), encoding="utf-8")

    def _compile_all(self, options: Sequence[str]) -> None:
        for folder, agrees_with in FOLDERS.items():
            lock = _in_root(folder, LOCK)
            say(f"Resolving {lock} …")
            constraints = [("--constraint", _in_root(other, LOCK)) for other in agrees_with]
            done = self.runner.capture(
                [
                    *(UV, "pip", "compile", _in_root(folder, INPUT)),
                    *("--output-file", lock, "--universal", "--python-version", OLDEST_PYTHON),
                    # One version of each package everywhere, and no trace of the index in use.
                    *("--fork-strategy", "fewest", "--generate-hashes", "--no-emit-index-url"),
                    *("--no-emit-find-links", "--custom-compile-command", "make lock", "--quiet"),
                    *chain.from_iterable(constraints),
                    *options,
                ],
                {},
            )
            if not done.ok:
                raise OperatorError(f"{lock} can't be resolved:\n{done.stderr.strip()}")


def _in_root(folder: str, name: str) -> str:
    return (Path(folder) / name).as_posix()


def pins(text: str) -> dict[str, str]:
    """Return the exact versions in a requirements file, by normalised package name."""
    return {normalised(found["name"]): found["version"] for found in _PIN.finditer(text)}


def normalised(name: str) -> str:
    """Spell a package's name as the index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def without_versions(text: str) -> str:
    """Remove the exact pins from an input; names and extras stay."""
    return _PIN.sub(lambda found: found["name"] + (found["extras"] or ""), text)


def with_versions(text: str, versions: Mapping[str, str]) -> str:
    """Set an input's exact pins to these versions, given by normalised package name."""
    return _PIN.sub(
        lambda found: (
            f"{found['name']}{found['extras'] or ''}=={versions[normalised(found['name'])]}"
        ),
        text,
    )


def main(arguments: Sequence[str]) -> int:
    """Write every lock."""
    parser = argparse.ArgumentParser(prog="python -m ops.locks")
    parser.add_argument("--upgrade", action="store_true", help="take the newest releases")
    options = parser.parse_args(arguments)
    Locks(SystemRunner(), ROOT).refresh(upgrade=options.upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
