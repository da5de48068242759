"""Names that the scrape configuration, the rules, the dashboard and the commands share."""

from __future__ import annotations

from typing import Final

#: Scrape job of the proxy (the name is fixed by the project's specification).
JOB: Final = "mistral"

#: Scrape job of the engine's own metrics.
ENGINE_JOB: Final = "mistralrs"

#: Labels that the scrape configuration adds to the proxy's series (fixed by the specification).
TARGET_LABELS: Final = {"engine": "mistral", "engine_type": "inference"}

#: Constant uid of Grafana's Prometheus data source, so that links and rules stay valid.
DATASOURCE_UID: Final = "mistral-prometheus"
