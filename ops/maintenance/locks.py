"""The lock files: every Python package that is installed anywhere, by version and hash.

Each ``requirements.txt`` is resolved from the ``requirements.in`` beside it, for every platform and
supported Python at once. ``make lock`` brings the locks up to their inputs and changes
nothing else; with ``--upgrade``, everything goes to its newest release, the pins of the inputs too.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.system.console import OperatorError, run_command, say
from ops.system.paths import ROOT
from ops.system.runner import Runner, SystemRunner

INPUT = "requirements.in"
LOCK = "requirements.txt"
OLDEST_PYTHON = "3.11"
UV = ".tools/python/bin/uv"

FOLDERS = {
    ".": False,
    "proxy_service": True,
    "embedded_engine": True,
    "tests": True,
    "tests/clients": False,
    "tests/fuzz": False,
    "bench": False,
    "tools": False,
}
"""Where there is a lock, and whether it has the same versions as the first one."""

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
            upgrade: Take newer releases, of what the inputs pin as well.

        Raises:
            OperatorError: An input can't be resolved; says why.
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
        for folder, agrees in FOLDERS.items():
            lock = f"{folder}/{LOCK}".removeprefix("./")
            say(f"Resolving {lock} …")
            constraint = ("--constraint", LOCK) if agrees else ()
            done = self.runner.capture(
                [
                    *(UV, "pip", "compile", f"{folder}/{INPUT}".removeprefix("./")),
                    *("--output-file", lock, "--universal", "--python-version", OLDEST_PYTHON),
                    # One version of each package, and nothing of where it was fetched from.
                    *("--fork-strategy", "fewest", "--generate-hashes", "--no-emit-index-url"),
                    *("--no-emit-find-links", "--custom-compile-command", "make lock", "--quiet"),
                    *constraint,
                    *options,
                ],
                {},
            )
            if not done.ok:
                raise OperatorError(f"{lock} can't be resolved:\n{done.stderr.strip()}")


def pins(text: str) -> dict[str, str]:
    """Return the exact versions in a requirements file, by normalised package name."""
    return {normalised(found["name"]): found["version"] for found in _PIN.finditer(text)}


def normalised(name: str) -> str:
    """Spell a package's name as the index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def without_versions(text: str) -> str:
    """Take the exact pins of an input away, leaving names and extras."""
    return _PIN.sub(lambda found: found["name"] + (found["extras"] or ""), text)


def with_versions(text: str, versions: Mapping[str, str]) -> str:
    """Set the exact pins of an input to other versions, by normalised package name."""
    return _PIN.sub(
        lambda found: (
            f"{found['name']}{found['extras'] or ''}=={versions[normalised(found['name'])]}"
        ),
        text,
    )


def main(arguments: Sequence[str]) -> int:
    """Write every lock."""
    parser = argparse.ArgumentParser(prog="python -m ops.maintenance.locks")
    parser.add_argument("--upgrade", action="store_true", help="take newer releases")
    options = parser.parse_args(arguments)
    Locks(SystemRunner(), ROOT).refresh(upgrade=options.upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
