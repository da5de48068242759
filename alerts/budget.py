"""The error budget: how fast failing requests use up what the objective allows.

The objective lets a share of the requests fail. A burn factor says how many times faster than
evenly over 30 days that share is spent; see the SRE Workbook, "Alerting on SLOs".
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
    """So many requests fail that the month's budget is gone in two days."""
    limit, long = FAST_BURN * _budget(t), t.timing.fast_burn_seconds
    return Alert(
        group=recorded.BUDGET,
        name="MistralErrorBudgetFastBurn",
        severity="critical",
        value=_ratio(long),
        comparison=">",
        threshold=limit,
        guards=(
            require(f"{_ratio(t.timing.window_seconds)} > {limit:g}"),
            _enough_requests(t, long),
            unless_very_high_latency(t),
            *unless_explained(t),
        ),
        for_seconds=t.timing.page_for_seconds,
        summary="Failing requests use up the error budget within days.",
        description=(
            "{value} of the last hour's requests failed and still do: more than "
            f"{FAST_BURN:g} times what the objective of {t.availability_objective * 100:g} % "
            "allows. Find the kind of error that dominates and mend it now, or take the change "
            "back that brought it."
        ),
        value_format="humanizePercentage",
    )


def slow_burn(t: Thresholds) -> Alert:
    """A few requests fail all the time, too few for the other alerts on errors."""
    limit, long = SLOW_BURN * _budget(t), t.timing.slow_burn_seconds
    return Alert(
        group=recorded.BUDGET,
        name="MistralErrorBudgetSlowBurn",
        severity="warning",
        value=_ratio(long),
        comparison=">",
        threshold=limit,
        guards=(
            require(f"{_ratio(t.timing.slow_burn_short_seconds)} > {limit:g}"),
            _enough_requests(t, long),
            # MistralHighErrorRate tells of this one.
            quiet_while(f"{_ratio(t.timing.window_seconds)} > {t.high_error_ratio:g}"),
            *unless_explained(t, window_seconds=t.timing.slow_burn_short_seconds),
        ),
        for_seconds=t.timing.ticket_for_seconds,
        summary="Failing requests use up the error budget slowly.",
        description=(
            "{value} of the last day's requests failed and still do: more than "
            f"{SLOW_BURN:g} times what the objective of {t.availability_objective * 100:g} % "
            "allows. Nothing burns, but find the kind of error that recurs before the budget is "
            "gone."
        ),
        value_format="humanizePercentage",
    )


def _budget(t: Thresholds) -> float:
    return 1 - t.availability_objective


def _ratio(seconds: int) -> str:
    return recorded.error_ratio(seconds).of(JOB)


def _enough_requests(t: Thresholds, seconds: int) -> str:
    return enough(recorded.judged_requests(seconds), t.budget_min_requests)
