"""Alerts on how fast failed requests use up the error budget.

The error budget is the share of requests that the objective allows to fail within 30 days. At a
burn rate of 1 it lasts exactly that long; see the SRE Workbook, "Alerting on SLOs".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import recordings as recorded
from alerts.guards import enough, unless_explained, unless_very_high_latency
from alerts.model import Alert
from alerts.promql import quiet_while, require
from monitoring.names import JOB
from monitoring.thresholds import FAST_BURN, SLOW_BURN

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds


def fast_burn(t: Thresholds) -> Alert:
    """Return the alert on errors that use up a budget of 30 days in about two days."""
    threshold, long = FAST_BURN * _budget(t), t.timing.fast_burn_seconds
    return Alert(
        group=recorded.BUDGET,
        name="MistralErrorBudgetFastBurn",
        severity="critical",
        value=_ratio(long),
        comparison=">",
        threshold=threshold,
        guards=(
            require(f"{_ratio(t.timing.window_seconds)} > {threshold:g}"),
            _enough_requests(t, long),
            unless_very_high_latency(t),
            *unless_explained(t),
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
    """Return the alert on a few constant errors, too few for the other alerts on errors."""
    threshold, long = SLOW_BURN * _budget(t), t.timing.slow_burn_seconds
    return Alert(
        group=recorded.BUDGET,
        name="MistralErrorBudgetSlowBurn",
        severity="warning",
        value=_ratio(long),
        comparison=">",
        threshold=threshold,
        guards=(
            require(f"{_ratio(t.timing.slow_burn_short_seconds)} > {threshold:g}"),
            _enough_requests(t, long),
            # MistralHighErrorRate fires on these errors.
            quiet_while(f"{_ratio(t.timing.window_seconds)} > {t.high_error_ratio:g}"),
            *unless_explained(t, window_seconds=t.timing.slow_burn_short_seconds),
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


def _ratio(seconds: int) -> str:
    return recorded.error_ratio(seconds).of(JOB)


def _enough_requests(t: Thresholds, seconds: int) -> str:
    return enough(recorded.judged_requests(seconds), t.budget_min_requests)
