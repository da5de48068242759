"""Names that the scrape configuration, the rules, the dashboard and the commands share."""

from __future__ import annotations

from typing import Final

# Scrape job of the proxy (the name is fixed by the project's specification).
JOB: Final = "mistral"

# Scrape job of the engine's own metrics.
ENGINE_JOB: Final = "mistralrs"

# Labels that the scrape configuration adds to the proxy's series (fixed by the specification).
TARGET_LABELS: Final = {"engine": "mistral", "engine_type": "inference"}

# Seconds that one scrape of the proxy may take (fixed by the specification), if the scrape interval
# is that long; `scrape_timeout_seconds` also covers shorter ones.
SCRAPE_TIMEOUT_SECONDS: Final = 10

# Seconds between two scrapes, and between two evaluations of the rules, unless another is given.
SCRAPE_INTERVAL_SECONDS: Final = 15

# Allowed scrape intervals, in seconds. Beyond two minutes one lost scrape would leave gaps:
# Prometheus uses a sample for five minutes at most.
SCRAPE_INTERVALS: Final = range(1, 121)

# Value of the label ``service`` of every alert; notifications and the dashboard select by it.
SERVICE: Final = "mistral"

# Matches the names of series that our rules record from the proxy's, in Prometheus' convention:
# level:metric:operations. Only a Prometheus that evaluates our rules has any.
RECORDED_NAMES: Final = ".+:mistral_.+:.+"

# File that holds the rules of Prometheus, here and in the container.
RULES_FILE_NAME: Final = "mistral-alerts.yml"

# Constant uid of Grafana's Prometheus data source, so that links and rules stay valid.
DATASOURCE_UID: Final = "mistral-prometheus"

# Constant uid of the dashboard, which is part of its address.
DASHBOARD_UID: Final = "mistral-metrics"

# Tags of the annotations in Grafana that mark a deployment.
DEPLOYMENT_TAGS: Final = ("deployment", "mistral")


def scrape_timeout_seconds(interval_seconds: float) -> float:
    """Return how long a scrape may take; Prometheus refuses more than the scrape interval."""
    return min(SCRAPE_TIMEOUT_SECONDS, interval_seconds)


# Uid of folder, data source and contact point that a drill adds to a Grafana while it runs, name of
# the last two, and value of its alerts' label ``drill``.
DRILL_NAME: Final = "mistral-drill"
