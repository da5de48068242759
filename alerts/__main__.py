"""Writes the rule file of Prometheus with the default thresholds: ``python -m alerts``."""

from __future__ import annotations

from alerts.prometheus import render
from alerts.rules_file import RULES_FILE
from monitoring.thresholds import Thresholds

if __name__ == "__main__":
    RULES_FILE.write_text(render(Thresholds()), encoding="utf-8")
