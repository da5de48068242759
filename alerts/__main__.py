"""Writes the rule file of Prometheus with the default limits: ``python -m alerts``."""

from __future__ import annotations

from pathlib import Path

from alerts.prometheus import render
from monitoring.names import RULES_FILE_NAME
from monitoring.thresholds import Thresholds

RULES_FILE = Path(__file__).parent / RULES_FILE_NAME

if __name__ == "__main__":
    RULES_FILE.write_text(render(Thresholds()), encoding="utf-8")
