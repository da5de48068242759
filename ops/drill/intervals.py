"""The drill's thresholds and intervals, and the rules and configuration rendered with them."""

import dataclasses
from dataclasses import dataclass, field
from typing import Final

import yaml

from alerts.grafana import Dialect, RuleGroup, rule_groups
from alerts.prometheus import render
from infra.prometheus_config import prometheus_config
from monitoring.thresholds import Thresholds, Timing

# The windows and waits of a real stack, about ten times shorter. They keep their order, so that
# the alert of a cause still fires before the alerts of its symptoms. All but the look-backs are
# multiples of Grafana's evaluation interval.
SHORT: Final = Timing(
    scrape_interval_seconds=2,
    window_seconds=15,
    down_for_seconds=10,
    page_for_seconds=10,
    ticket_for_seconds=20,
    notice_for_seconds=10,
    fast_burn_seconds=20,
    slow_burn_short_seconds=20,
    slow_burn_seconds=30,
)

# The shortest interval at which Grafana evaluates rules.
GRAFANA_SECONDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class DrillConfig:
    """The thresholds and intervals of a drill.

    Attributes:
        limits: The alerts' thresholds. Their short timing is what makes the drill short.
        evaluation: Interval at which Prometheus evaluates the rules, in Prometheus' notation.
        timeout_seconds: How long a change may take on top of the alert's own windows and waits.
    """

    thresholds: Thresholds = field(
        default_factory=lambda: Thresholds(no_requests_minutes=1, timing=SHORT)
    )
    evaluation: str = "1s"
    timeout_seconds: float = 120.0

    def prometheus_rules(self) -> str:
        """Return the project's rule file without the groups' own evaluation intervals."""
        rules = yaml.safe_load(render(self.thresholds))
        for group in rules["groups"]:
            group.pop("interval", None)
        return yaml.safe_dump(rules, sort_keys=False)

    def grafana_rules(self, datasource_uid: str, dialect: Dialect) -> tuple[RuleGroup, ...]:
        """Return the project's Grafana rules, evaluated as often as Grafana can."""
        groups = rule_groups(self.thresholds, datasource_uid, dialect=dialect)
        return tuple(
            dataclasses.replace(group, interval_seconds=GRAFANA_SECONDS) for group in groups
        )

    def prometheus_config(self, *, proxy: str | None, prometheus: str, rules: str) -> str:
        """Return the project's ``prometheus.yml`` with the drill's intervals.

        Args:
            proxy: ``host:port`` of the drill's proxy; None for no target.
            prometheus: ``host:port`` of the drill's Prometheus.
            rules: Path of the rule file.
        """
        return prometheus_config(
            proxy_target=proxy,
            prometheus_target=prometheus,
            rules_glob=rules,
            scrape_interval_seconds=self.thresholds.timing.scrape_interval_seconds,
            evaluation_interval=self.evaluation,
        )
