"""Renders the alerts as Grafana-managed rules: plain values that know nothing of Pulumi.

Grafana copies the shape that its own importer of Prometheus rules makes: ``A`` asks Prometheus,
``B`` turns "any number at all" into 1, ``C`` is the condition. PromQL comparisons filter, so a
series that is returned means "firing", also for ``up == 0`` whose value is 0.

Recorded series are written out, so that the rules also work on a Prometheus without our rule file.
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
    from collections.abc import Sequence

    from alerts.model import Alert, Group, Recording
    from monitoring.thresholds import Thresholds

#: What a rule becomes when Prometheus cannot be asked or answers nothing.
State = Literal["OK", "Error", "KeepLast"]

#: Which fields the Grafana at hand understands. ``KeepLast`` came with 10.4, counting missing
#: series with 12; an older Grafana refuses the one and forgets the other.
Dialect = Literal["current", "before-12"]

#: Data source of Grafana's own expressions.
_EXPRESSION_UID: Final = "__expr__"

#: Multiples of Grafana's base interval of 10 s, and at most every waiting time of the group.
_INTERVAL_SECONDS: Final[dict[Group, int]] = {"mistral": 30, "mistral-error-budget": 60}

#: The one alert that tells of an unreachable Prometheus; the others keep what they last knew, or
#: one dead Prometheus would raise every rule at once.
_SPEAKS_FOR_PROMETHEUS: Final = "MistralDown"


@dataclass(frozen=True, kw_only=True)
class Query:
    """One step of a rule; ``model`` is what Grafana stores, without its defaults."""

    ref_id: str
    datasource_uid: str
    #: How far back the step looks; 0 for expressions, which look at other steps.
    from_seconds: int
    model: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One Grafana-managed rule; durations in Grafana's notation (``5m``)."""

    uid: str
    title: str
    condition: str
    for_: str
    no_data_state: State
    exec_err_state: State
    #: Evaluations without a series before its alert resolves.
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
    """Give the rules for one Grafana folder.

    Args:
        t: The limits.
        datasource_uid: Grafana's uid of the Prometheus data source.
        runbook_base_url: Where the runbooks are published; empty leaves ``runbook_url`` out.
        dialect: Fields to use; see ``Dialect``.
    """
    written_out = recordings(t.timing)
    return tuple(
        RuleGroup(
            name=name,
            interval_seconds=interval_seconds,
            rules=tuple(
                _rule(alert, written_out, datasource_uid, runbook_base_url, dialect)
                for alert in alerts(t)
                if alert.group == name
            ),
        )
        for name, interval_seconds in _INTERVAL_SECONDS.items()
    )


def uid_of(alert_name: str) -> str:
    """Give the lasting uid of an alert's rule: ``MistralDown`` is ``mistral-down``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", alert_name).lower()


def write_out(expr: str, recorded: Sequence[Recording]) -> str:
    """Replace recorded series by their queries; a range of them becomes a subquery."""
    for recording in recorded:
        series, query = recording.of(JOB), f"({recording.expr})"
        expr = re.sub(rf"{re.escape(series)}\[(\w+)\]", rf"{query}[\1:]", expr)
        expr = expr.replace(series, query)
    return expr


def _rule(
    alert: Alert,
    recorded: Sequence[Recording],
    datasource_uid: str,
    runbook_base_url: str,
    dialect: Dialect,
) -> Rule:
    current = dialect == "current"
    untold: State = "KeepLast" if current else "OK"
    return Rule(
        uid=uid_of(alert.name),
        title=alert.name,
        condition="C",
        for_=duration(alert.for_seconds),
        no_data_state="OK",
        exec_err_state="Error" if alert.name == _SPEAKS_FOR_PROMETHEUS else untold,
        missing_series_evals_to_resolve=1 if current else None,
        labels=alert.labels(),
        annotations=alert.annotations(value="$values.A.Value", runbook_base_url=runbook_base_url),
        queries=_queries(write_out(alert.expr, recorded), datasource_uid),
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
