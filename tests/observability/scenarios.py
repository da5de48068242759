"""Traffic on simulated proxies, and which alerts it fires: evaluated by promtool with all rules.

Whatever fires at any time counts, except what a scenario allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from monitoring.names import SCRAPE_INTERVAL_SECONDS
from monitoring.thresholds import Thresholds, Timing
from tests.observability.promtool import INSTANCE, OF_ALL_PROXIES, prometheus_rules
from tests.observability.simulated_proxy import Clients, SimulatedProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.observability.promtool import Promtool

DOWN = "MistralDown"
UNREACHABLE = "MistralEngineUnreachable"
VERY_HIGH_LATENCY = "MistralVeryHighLatency"
HIGH_LATENCY = "MistralHighLatency"
ERROR_RATE = "MistralHighErrorRate"
ACTIVE = "MistralHighActiveRequests"
SLOW_GENERATION = "MistralSlowGeneration"
SLOW_FIRST_TOKEN = "MistralSlowFirstToken"
FAST_BURN = "MistralErrorBudgetFastBurn"
SLOW_BURN = "MistralErrorBudgetSlowBurn"
NO_REQUESTS = "MistralNoRequests"

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400

# From when to when, in seconds.
Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Some proxies, and what may and must fire.

    Attributes:
        proxies: The proxies, which share their names with nothing else in the test.
        minutes: How long they are watched.
        must: How many minutes each alert may take; by name, or by name and instance.
        may: Further alerts that are right but not the point.
        evaluated_every: Seconds between two evaluations, unless scrapes are further apart. Many a
            Prometheus evaluates less often than it scrapes; the other tests evaluate as often.
        availability_objective: The threshold of that name.
    """

    proxies: Sequence[SimulatedProxy]
    minutes: int = 16
    must: Mapping[str | tuple[str, str], int] = field(default_factory=dict)
    may: tuple[str, ...] = ()
    evaluated_every: int = 60
    availability_objective: float = 0.99


def one(
    *clients: Clients,
    runs: Sequence[Span] = ((-DAY, math.inf),),
    engine_down: Sequence[Span] = (),
    is_target: Span = (0, math.inf),
) -> tuple[SimulatedProxy, ...]:
    """Return a single proxy."""
    proxy = SimulatedProxy(clients=clients, runs=runs, engine_down=engine_down, is_target=is_target)
    return (proxy,)


def fired(matchers: str, seconds: int) -> str:
    """Return the query for every alert that fired until now, and for which proxy."""
    return (
        f"group by (alertname, instance) "
        f'(max_over_time(ALERTS{{alertstate="firing",{matchers}}}[{seconds}s]))'
    )


def check(
    promtool: Promtool,
    folder: Path,
    scenario: Scenario,
    interval: int = SCRAPE_INTERVAL_SECONDS,
    rules_of: Callable[[Thresholds], dict[str, Any]] = prometheus_rules,
) -> None:
    """Play a scenario with a scrape interval in seconds, and compare what fires."""
    check_all(promtool, folder, {"scenario": scenario}, interval, rules_of)


def check_all(
    promtool: Promtool,
    folder: Path,
    scenarios: Mapping[str, Scenario],
    interval: int = SCRAPE_INTERVAL_SECONDS,
    rules_of: Callable[[Thresholds], dict[str, Any]] = prometheus_rules,
) -> None:
    """Play several scenarios, each by itself; the failure names those that differ.

    Starting promtool and reading the rules costs more than playing a scenario, so all that have the
    same rules share a run.
    """
    runs: dict[tuple[float, int], dict[str, Scenario]] = {}
    for name, scenario in scenarios.items():
        same = scenario.availability_objective, max(scenario.evaluated_every, interval)
        runs.setdefault(same, {})[name] = scenario
    timing = Timing.for_scrape_interval(interval)
    failures = []
    for (objective, evaluated_every), run in runs.items():
        content = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": f"{evaluated_every}s",
            "tests": [_test(name, scenario, timing) for name, scenario in run.items()],
        }
        rules = rules_of(Thresholds(availability_objective=objective, timing=timing))
        (folder / "rules.yml").write_text(
            yaml.dump(rules, Dumper=yaml.CSafeDumper), encoding="utf-8"
        )
        file = folder / "test.yml"
        file.write_text(yaml.dump(content, Dumper=yaml.CSafeDumper), encoding="utf-8")
        result = promtool("test", "rules", str(file))
        if result.returncode != 0:
            failures.append(result.stdout + result.stderr)
    assert not failures, "\n".join(failures)


def _test(name: str, scenario: Scenario, timing: Timing) -> dict[str, Any]:
    """Return promtool's test of one scenario."""
    seconds, interval = scenario.minutes * MINUTE, timing.scrape_interval_seconds
    series = {
        written: values
        for proxy in scenario.proxies
        for written, values in proxy.series(seconds=seconds, interval=interval).items()
    }
    return {
        "interval": f"{interval}s",
        "input_series": [{"series": s, "values": v} for s, v in series.items()],
        # Not every supported promtool prints a test's name, but all print a failed expression.
        "promql_expr_test": [
            {**test, "expr": f"{test['expr']} # {name}"}
            for test in (_expected(scenario, seconds), *_in_time(scenario, timing))
        ],
    }


def _expected(scenario: Scenario, seconds: int) -> dict[str, Any]:
    """Return the check that exactly the expected alerts fired at any time."""
    may = "|".join(scenario.may)
    return {
        "expr": fired(f'alertname!~"{may}"', seconds),
        "eval_time": f"{seconds}s",
        "exp_samples": [_sample(alert) for alert in scenario.must],
    }


def _in_time(scenario: Scenario, timing: Timing) -> list[dict[str, Any]]:
    """Return the checks that each expected alert fired in time."""
    # With a long scrape interval, waits are longer and samples come later.
    waits = timing.page_for_seconds - Timing().page_for_seconds
    later = waits + max(0, timing.scrape_interval_seconds - SCRAPE_INTERVAL_SECONDS)
    return [
        {
            "expr": fired(_matchers(alert), minutes * MINUTE + later),
            "eval_time": f"{minutes * MINUTE + later}s",
            "exp_samples": [_sample(alert)],
        }
        for alert, minutes in scenario.must.items()
    ]


def _matchers(alert: str | tuple[str, str]) -> str:
    if isinstance(alert, str):
        return f'alertname="{alert}"'
    name, instance = alert
    return f'alertname="{name}",instance="{instance}"'


def _sample(alert: str | tuple[str, str]) -> dict[str, Any]:
    usual = "" if alert in OF_ALL_PROXIES else INSTANCE
    name, instance = alert if isinstance(alert, tuple) else (alert, usual)
    whose = f',instance="{instance}"' if instance else ""
    return {"labels": f'{{alertname="{name}"{whose}}}', "value": 1}
