"""Folders of the checkout."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
"""The checkout."""

RUN_DIR: Final = ROOT / ".run"
"""Run-time state. It may be deleted while nothing runs."""

TOOLS_DIR: Final = ROOT / ".tools"
"""Programs that the commands fetched for this checkout alone."""
