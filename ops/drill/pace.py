"""How fast the drill goes: the real limits with short windows, and the rules made of them."""

import dataclasses
from dataclasses import dataclass, field
from typing import Final

import yaml

from alerts.grafana import Dialect, RuleGroup, rule_groups
from alerts.prometheus import render
from infra.render import prometheus_config
from monitoring.names import JOB
from monitoring.thresholds import Thresholds, Timing

#: Every wait of a real stack, some ten times shorter, in the same order: a cause is told before
#: its symptoms would be. Multiples of Grafana's evaluation, except for the looks back.
SHORT: Final = Timing(
    window_seconds=15,
    down_for_seconds=10,
    page_for_seconds=10,
    ticket_for_seconds=20,
    notice_for_seconds=10,
    fast_burn_seconds=20,
    slow_burn_short_seconds=20,
    slow_burn_seconds=30,
)

#: The shortest interval that Grafana evaluates rules at.
GRAFANA_SECONDS: Final = 10


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The limits and the rhythm of a drill.

    Attributes:
        limits: The alerts' limits; its timing is what makes the drill short.
        scrape: Time between two scrapes, and what one may take, in Prometheus' notation.
        evaluation: Time between two evaluations of the rules.
        timeout_seconds: How long a change may take beyond what its alert's waits explain.
    """

    limits: Thresholds = field(
        default_factory=lambda: Thresholds(no_requests_minutes=1, timing=SHORT)
    )
    scrape: str = "2s"
    evaluation: str = "1s"
    timeout_seconds: float = 120.0

    def prometheus_rules(self) -> str:
        """Give the project's rule file, every group evaluated at the drill's rhythm."""
        rules = yaml.safe_load(render(self.limits))
        for group in rules["groups"]:
            group.pop("interval", None)
        return yaml.safe_dump(rules, sort_keys=False)

    def grafana_rules(self, datasource_uid: str, dialect: Dialect) -> tuple[RuleGroup, ...]:
        """Give the project's Grafana rules, every group evaluated as often as Grafana can."""
        groups = rule_groups(self.limits, datasource_uid, dialect=dialect)
        return tuple(
            dataclasses.replace(group, interval_seconds=GRAFANA_SECONDS) for group in groups
        )

    def prometheus_config(self, *, proxy: str, prometheus: str, rules: str) -> str:
        """Give the project's ``prometheus.yml`` at the drill's rhythm.

        Args:
            proxy: ``host:port`` of the drill's proxy; empty leaves its job without a target, as
                a service discovery that lost it does.
            prometheus: ``host:port`` of the drill's Prometheus.
            rules: Path of the rule file.
        """
        config = yaml.safe_load(
            prometheus_config(proxy_target=proxy, prometheus_target=prometheus, rules_glob=rules)
        )
        config["global"] = {
            "scrape_interval": self.scrape,
            "scrape_timeout": self.scrape,
            "evaluation_interval": self.evaluation,
        }
        for job in config["scrape_configs"]:
            job.pop("scrape_timeout", None)
            if not proxy and job["job_name"] == JOB:
                job["static_configs"] = []
        return yaml.safe_dump(config, sort_keys=False)
