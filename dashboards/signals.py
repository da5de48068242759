"""What is measured: job names, the data source and the catalogue of queries.

Owns the names that the scrape configuration, the rules and the dashboard share. Knows neither
panels nor alerts.
"""

from __future__ import annotations

from typing import Final

#: Scrape job of the proxy (the name is fixed by the project's specification).
JOB: Final = "mistral"

#: Scrape job of the engine's own metrics.
ENGINE_JOB: Final = "mistralrs"

#: Constant uid of Grafana's Prometheus data source, so that links and rules stay valid.
DATASOURCE_UID: Final = "mistral-prometheus"
