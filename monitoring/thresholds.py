"""The numbers that alerts compare with: the specification's values as defaults, units in the names.

Validated once, with every fault in one error, so that a wrong setting is one clear message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

#: Quantiles cannot be told apart beyond the largest finite bucket of the proxy's histograms
#: (600 s), so a limit at or above it would never fire.
LARGEST_BUCKET_SECONDS: Final = 600.0


#: Burn factors, as in the SRE Workbook's chapter on alerting on objectives: 14.4 spends 2 % of a
#: budget of 30 days in an hour, 3 spends 10 % of it in a day.
FAST_BURN: Final = 14.4
SLOW_BURN: Final = 3.0

#: Below it, not even failing always would burn the budget at the fast rate.
LOWEST_OBJECTIVE: Final = 0.94


class ThresholdsError(ValueError):
    """One or more limits make no sense; the message names each of them and what to do."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How far back the rules look and how long a condition must hold.

    Kept apart from the limits so that a drill can shorten all of it in one place. Whole seconds.
    """

    #: Look-back of rates and quantiles; at least four scrapes, or rates have gaps.
    window_seconds: int = 300
    #: MistralDown: at least two scrapes, so that one lost scrape wakes nobody.
    down_for_seconds: int = 60
    #: Critical symptoms.
    page_for_seconds: int = 120
    #: Warnings.
    ticket_for_seconds: int = 300
    #: Notices without urgency.
    notice_for_seconds: int = 60
    #: The error budget is judged over a long and a short window: the long one proves that it
    #: matters, the short one that it still goes on. The fast burn's short one is the window above.
    fast_burn_seconds: int = 3_600
    slow_burn_short_seconds: int = 7_200
    slow_burn_seconds: int = 86_400


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Limits of the alerts; every plain field is a stack setting.

    Raises:
        ThresholdsError: A limit is out of range or two limits contradict each other.
    """

    high_latency_seconds: float = 5.0
    very_high_latency_seconds: float = 10.0
    #: Fewer requests in the window than this say nothing about latency.
    latency_min_requests: int = 5
    #: Share of failed requests, 0 to 1; cancelled and refused requests do not count.
    high_error_ratio: float = 0.05
    #: Fewer failed and answered requests in the window than this say nothing about errors.
    error_min_requests: int = 10
    #: More than this many at once; exactly this many is still fine.
    high_active_requests: int = 50
    slow_generation_seconds: float = 30.0
    slow_generation_min_requests: int = 3
    no_requests_minutes: int = 10
    #: How long an engine that has not answered yet may take: a first start fetches its model.
    engine_start_minutes: int = 30
    slow_first_token_seconds: float = 5.0
    first_token_min_requests: int = 5
    #: Share of requests that shall not fail, 0 to 1; what remains is the error budget.
    availability_objective: float = 0.99
    #: Fewer requests in the long window than this burn no budget.
    budget_min_requests: int = 100
    timing: Timing = field(default_factory=Timing)

    def __post_init__(self) -> None:
        faults = [*_range_faults(self), *_order_faults(self)]
        if faults:
            raise ThresholdsError("alert thresholds: " + "; ".join(faults))


def _range_faults(t: Thresholds) -> list[str]:
    seconds = (
        "high_latency_seconds",
        "very_high_latency_seconds",
        "slow_generation_seconds",
        "slow_first_token_seconds",
    )
    counts = (
        "latency_min_requests",
        "error_min_requests",
        "high_active_requests",
        "slow_generation_min_requests",
        "no_requests_minutes",
        "engine_start_minutes",
        "first_token_min_requests",
        "budget_min_requests",
    )
    faults = [
        f"{name} is {getattr(t, name):g}, but must be above 0 and below "
        f"{LARGEST_BUCKET_SECONDS:g} (the largest bucket)"
        for name in seconds
        if not 0 < getattr(t, name) < LARGEST_BUCKET_SECONDS
    ]
    faults += [
        f"{name} is {getattr(t, name)}, but must be a whole number of at least 1"
        for name in counts
        if not isinstance(getattr(t, name), int) or getattr(t, name) < 1
    ]
    if not 0 < t.high_error_ratio < 1:
        faults.append(
            f"high_error_ratio is {t.high_error_ratio:g}, but must lie between 0 and 1 "
            "(0.05 means 5 %)"
        )
    if not LOWEST_OBJECTIVE <= t.availability_objective < 1:
        faults.append(
            f"availability_objective is {t.availability_objective:g}, but must be at least "
            f"{LOWEST_OBJECTIVE:g} and below 1 (0.99 lets 1 % of the requests fail)"
        )
    return faults


def _order_faults(t: Thresholds) -> list[str]:
    high, very_high = t.high_latency_seconds, t.very_high_latency_seconds
    if very_high > high:
        return []
    return [f"very_high_latency_seconds is {very_high:g}, but must be above the high {high:g}"]
