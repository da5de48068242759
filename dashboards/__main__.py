"""Writes the dashboard with the default thresholds: ``python -m dashboards``."""

from __future__ import annotations

from pathlib import Path

from dashboards.overview import render
from monitoring.names import DASHBOARD_UID
from monitoring.thresholds import Thresholds

DASHBOARD_FILE = Path(__file__).parent / f"{DASHBOARD_UID}.json"

if __name__ == "__main__":
    DASHBOARD_FILE.write_text(render(Thresholds()), encoding="utf-8")
