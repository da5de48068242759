"""Folders of the checkout."""

from pathlib import Path
from typing import Final

# The checkout.
ROOT: Final = Path(__file__).resolve().parents[1]

# Run-time state. It may be deleted while nothing runs.
RUN_DIR: Final = ROOT / ".run"

# Programs that the commands fetched for this checkout alone.
TOOLS_DIR: Final = ROOT / ".tools"
