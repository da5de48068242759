"""Renders the alerts as Grafana-managed rules: plain values, independent of Pulumi.

Each rule has the shape that Grafana's importer of Prometheus rules makes: ``A`` queries Prometheus,
``B`` turns any number into 1, ``C`` is the condition. PromQL comparisons filter, so each series in
the result means "firing", even that of ``up == 0``, whose value is 0.

Recorded series are replaced by their queries, so that the rules also work with a Prometheus that
doesn't have our rule file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from alerts.promql import duration
from alerts.recordings import recordings
from alerts.rules import alerts
from monitoring.names import JOB

if TYPE_CHECKING:
    from alerts.model import Alert, Group
    from monitoring.thresholds import Thresholds

# State of a rule when the query fails or returns no series.
State = Literal["OK", "Error", "KeepLast"]

# Version of Grafana that the rules are for. Before 10.4, Grafana refuses ``KeepLast``; before 12,
# it drops ``missing_series_evals_to_resolve``.
Dialect = Literal["current", "before-12"]

# Data source of Grafana's own expressions.
_EXPRESSION_UID: Final = "__expr__"

# Multiples of Grafana's base interval of 10 s, no longer than any `for` in the group.
_INTERVAL_SECONDS: Final[dict[Group, int]] = {"mistral": 30, "mistral-error-budget": 60}

# Step of subqueries over an hour or more.
_LONG_STEP_SECONDS: Final = 60

# The one alert that reports an unreachable Prometheus. The others keep their last state;
# otherwise all of them would fire at once when Prometheus is down.
_SPEAKS_FOR_PROMETHEUS: Final = "MistralDown"


@dataclass(frozen=True, kw_only=True)
class Query:
    """One step of a rule; ``model`` is what Grafana stores, without default values."""

    ref_id: str
    datasource_uid: str
    # How far back the query looks; 0 for expressions, whose input is another step.
    from_seconds: int
    model: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One Grafana-managed rule; durations are in Grafana's notation (``5m``)."""

    uid: str
    title: str
    condition: str
    for_: str
    no_data_state: State
    exec_err_state: State
    # Number of evaluations without a series after which its alert resolves.
    missing_series_evals_to_resolve: int | None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    queries: tuple[Query, ...]


@dataclass(frozen=True, kw_only=True)
class RuleGroup:
    """Rules that are evaluated together."""

    name: str
    interval_seconds: int
    rules: tuple[Rule, ...]


def rule_groups(
    t: Thresholds,
    datasource_uid: str,
    *,
    runbook_base_url: str = "",
    dialect: Dialect = "current",
) -> tuple[RuleGroup, ...]:
    """Return the rules for one Grafana folder.

    Args:
        t: The thresholds.
        datasource_uid: Grafana's uid of the Prometheus data source.
        runbook_base_url: URL under which the runbooks are published; if empty, rules have no
            ``runbook_url``.
        dialect: Version of Grafana; see ``Dialect``.
    """
    return tuple(
        RuleGroup(
            name=name,
            interval_seconds=interval_seconds,
            rules=tuple(
                _rule(alert, t, datasource_uid, runbook_base_url, dialect)
                for alert in alerts(t)
                if alert.group == name
            ),
        )
        for name, interval_seconds in _INTERVAL_SECONDS.items()
    )


def uid_of(alert_name: str) -> str:
    """Return the constant uid of an alert's rule: ``mistral-down`` for ``MistralDown``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert_name).lower()


def write_out(expr: str, t: Thresholds) -> str:
    """Replace recorded series by their queries; a range of a series becomes a subquery.

    A subquery evaluates at every scrape; in windows of an hour or more, once a minute is enough.
    """
    # The last ones first: a recorded series uses only earlier ones.
    for recording in reversed(recordings(t)):
        series, query = recording.of(JOB), f"({recording.expr})"
        for window in re.findall(rf"{re.escape(series)}\[(\w+)\]", expr):
            subquery = f"{query}[{window}:{_step(window, t)}]"
            expr = expr.replace(f"{series}[{window}]", subquery)
        expr = expr.replace(series, query)
    return expr


def _step(window: str, t: Thresholds) -> str:
    scrape = t.timing.scrape_interval_seconds
    return duration(max(scrape, _LONG_STEP_SECONDS) if window[-1] in "hd" else scrape)


def _rule(
    alert: Alert,
    t: Thresholds,
    datasource_uid: str,
    runbook_base_url: str,
    dialect: Dialect,
) -> Rule:
    current = dialect == "current"
    on_error: State = "KeepLast" if current else "OK"
    return Rule(
        uid=uid_of(alert.name),
        title=alert.name,
        condition="C",
        for_=duration(alert.for_seconds),
        no_data_state="OK",
        exec_err_state="Error" if alert.name == _SPEAKS_FOR_PROMETHEUS else on_error,
        missing_series_evals_to_resolve=1 if current else None,
        labels=alert.labels(),
        annotations=alert.annotations(value="$values.A.Value", runbook_base_url=runbook_base_url),
        queries=_queries(write_out(alert.expr, t), datasource_uid),
    )


def _queries(expr: str, datasource_uid: str) -> tuple[Query, ...]:
    prometheus = {"type": "prometheus", "uid": datasource_uid}
    expression = {"type": _EXPRESSION_UID, "uid": _EXPRESSION_UID}
    return (
        Query(
            ref_id="A",
            datasource_uid=datasource_uid,
            from_seconds=600,
            model={
                "refId": "A",
                "datasource": prometheus,
                "expr": expr,
                "instant": True,
                "range": False,
            },
        ),
        Query(
            ref_id="B",
            datasource_uid=_EXPRESSION_UID,
            from_seconds=0,
            model={
                "refId": "B",
                "datasource": expression,
                "type": "math",
                "expression": "is_number($A) || is_nan($A) || is_inf($A)",
            },
        ),
        Query(
            ref_id="C",
            datasource_uid=_EXPRESSION_UID,
            from_seconds=0,
            model={
                "refId": "C",
                "datasource": expression,
                "type": "threshold",
                "expression": "B",
                "conditions": [{"evaluator": {"type": "gt", "params": [0]}}],
            },
        ),
    )
