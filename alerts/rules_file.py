"""Where the rule file of Prometheus is; ``python -m alerts`` writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from monitoring.names import RULES_FILE_NAME

RULES_FILE: Final = Path(__file__).parent / RULES_FILE_NAME
