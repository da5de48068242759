"""Alerts on how fast failed requests use up the error budget.

The error budget is the share of requests that the objective allows to fail within 30 days. At a
burn rate of 1 it lasts exactly that long; see the SRE Workbook, "Alerting on SLOs".

The budget is that of all proxies together. In the long window every failure counts. In the short
window, which shows that requests still fail, those that another alert reports don't count: failures
of a proxy whose engine is unreachable, for instance. So a proxy that fails is never hidden by
another one's dead engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import recordings as recorded
from alerts.model import Alert
from alerts.promql import BY_INSTANCE, BY_JOB, over_time, quiet_while, require
from monitoring.names import JOB
from monitoring.thresholds import FAST_BURN, SLOW_BURN

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds


def fast_burn(t: Thresholds) -> Alert:
    """Return the alert on errors that use up a budget of 30 days in about two days."""
    threshold, long = _fast_threshold(t), t.timing.fast_burn_seconds
    return Alert(
        group=recorded.BUDGET,
        name="MistralErrorBudgetFastBurn",
        severity="critical",
        value=_ratio(long),
        comparison=">",
        threshold=threshold,
        guards=(
            require(f"{recorded.unexplained_ratio(t.timing).of(JOB)} > {threshold:g}", on=BY_JOB),
            _enough_requests(t, long),
        ),
        for_seconds=t.timing.page_for_seconds,
        summary="Failed requests will use up the error budget within days.",
        description=(
            "{value} of the requests of the last hour failed, and requests are still failing. "
            f"That is more than {FAST_BURN:g} times what the objective of "
            f"{t.availability_objective * 100:g} % allows. Find the most frequent type of error "
            "and fix it now, or roll back the change that caused it."
        ),
        value_format="humanizePercentage",
    )


def slow_burn(t: Thresholds) -> Alert:
    """Return the alert on a few constant errors, too few for the other alerts on errors.

    It is silent while MistralErrorBudgetFastBurn fires. A proxy's failures don't count while
    MistralHighErrorRate fires for it.
    """
    threshold, long = SLOW_BURN * _budget(t), t.timing.slow_burn_seconds
    return Alert(
        group=recorded.BUDGET,
        name="MistralErrorBudgetSlowBurn",
        severity="warning",
        value=_ratio(long),
        comparison=">",
        threshold=threshold,
        guards=(
            require(f"({_unexplained_lately(t)}) > {threshold:g}", on=BY_JOB),
            _enough_requests(t, long),
            quiet_while(_fast_burn_fires(t), on=BY_JOB),
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Failed requests slowly use up the error budget.",
        description=(
            "{value} of the requests of the last day failed, and requests are still failing. "
            f"That is more than {SLOW_BURN:g} times what the objective of "
            f"{t.availability_objective * 100:g} % allows. This isn't urgent, but find the errors "
            "that recur before the budget is used up."
        ),
        value_format="humanizePercentage",
    )


def _budget(t: Thresholds) -> float:
    return 1 - t.availability_objective


def _fast_threshold(t: Thresholds) -> float:
    return FAST_BURN * _budget(t)


def _ratio(seconds: int) -> str:
    return recorded.budget_ratio(seconds).of(JOB)


def _enough_requests(t: Thresholds, seconds: int) -> str:
    requests = recorded.budget_requests(seconds).of(JOB)
    return require(f"{requests} >= {t.budget_min_requests}", on=BY_JOB)


def _unexplained_lately(t: Thresholds) -> str:
    """Return the share of requests that failed in the slow burn's short window.

    A sum of recorded rates, since a failure is explained at its time, not afterwards. Proxies that
    are down now don't count at all.
    """
    ratio = over_time("min", recorded.error_ratio(t).of(JOB), t.timing.ticket_for_seconds)
    unreported = " ".join(
        (
            quiet_while(f"{ratio} > {t.high_error_ratio:g}", on=BY_INSTANCE),
            require(recorded.unexplained(t.timing).of(JOB), on=BY_INSTANCE),
        )
    )
    failed, judged = (
        over_time("sum", series.of(JOB), t.timing.slow_burn_short_seconds)
        for series in (recorded.unexplained_failed(t.timing), recorded.unexplained_judged(t.timing))
    )
    return (
        f"sum by ({BY_JOB}) ({failed} {unreported})\n"
        f"/ (sum by ({BY_JOB}) ({judged} {unreported}) > 0)"
    )


def _fast_burn_fires(t: Thresholds) -> str:
    """Return the query for whether the fast burn's condition has held for its `for` duration."""
    threshold, wait = _fast_threshold(t), t.timing.page_for_seconds
    short, long = (
        over_time("min", series.of(JOB), wait)
        for series in (
            recorded.unexplained_ratio(t.timing),
            recorded.budget_ratio(t.timing.fast_burn_seconds),
        )
    )
    return "\n".join(
        (
            f"{long} > {threshold:g}",
            require(f"{short} > {threshold:g}", on=BY_JOB),
            _enough_requests(t, t.timing.fast_burn_seconds),
        )
    )
