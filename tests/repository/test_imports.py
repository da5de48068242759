"""Imports point the way that CONTRIBUTING.md says; the contracts are in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

from tests.processes import ROOT


def test_imports_point_down() -> None:
    """In a process of its own, because the linter sets up `logging` and disables all loggers."""
    linter = Path(sys.executable).with_name("lint-imports")
    finished = subprocess.run(
        [linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
