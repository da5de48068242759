"""The thresholds of the alerts; the defaults are those of the specification.

All of them are checked at once, so that one error message names everything that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# Largest finite bucket of the proxy's histograms. No quantile is above it, so an alert with this
# threshold would never fire.
LARGEST_BUCKET_SECONDS: Final = 600.0

# Burn rates, as in the SRE Workbook's chapter "Alerting on SLOs": 14.4 uses 2 % of the error
# budget of 30 days in one hour, 3 uses 10 % of it in one day.
FAST_BURN: Final = 14.4
SLOW_BURN: Final = 3.0

# Below this objective the fast burn rate can't be reached, even if every request fails.
LOWEST_OBJECTIVE: Final = 0.94


class ThresholdsError(ValueError):
    """One or more thresholds are invalid; the message names each and says what is allowed."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Windows of the rules and how long a condition must hold, in whole seconds.

    Separate from the thresholds, so that a drill can shorten all of them in one place.
    """

    # Window of rates and quantiles. At least four scrapes long, or rates have gaps.
    window_seconds: int = 300
    # MistralDown. At least two scrapes long, so that one lost scrape doesn't fire it.
    down_for_seconds: int = 60
    # Critical alerts about symptoms.
    page_for_seconds: int = 120
    # Warnings.
    ticket_for_seconds: int = 300
    # Alerts of severity info.
    notice_for_seconds: int = 60
    # The alerts on the error budget compare a long and a short window: the long one shows that the
    # errors matter, the short one that they continue. The short window of the fast burn is
    # ``window_seconds``.
    fast_burn_seconds: int = 3_600
    slow_burn_short_seconds: int = 7_200
    slow_burn_seconds: int = 86_400


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Thresholds of the alerts; every field but ``timing`` is a setting of the stack.

    Raises:
        ThresholdsError: A threshold is out of range, or two thresholds contradict each other.
    """

    high_latency_seconds: float = 5.0
    very_high_latency_seconds: float = 10.0
    # With fewer requests in the window, latency is not judged.
    latency_min_requests: int = 5
    # Share of failed requests, 0 to 1. Requests that clients cancelled or got wrong don't count.
    high_error_ratio: float = 0.05
    # With fewer failed and successful requests in the window, errors are not judged.
    error_min_requests: int = 10
    # More than this many at once fire the alert; exactly this many don't.
    high_active_requests: int = 50
    slow_generation_seconds: float = 30.0
    slow_generation_min_requests: int = 3
    no_requests_minutes: int = 10
    # How long an engine that has never answered may take to start: it may download its model.
    engine_start_minutes: int = 30
    slow_first_token_seconds: float = 5.0
    first_token_min_requests: int = 5
    # Share of requests that must succeed, 0 to 1; the rest is the error budget.
    availability_objective: float = 0.99
    # With fewer requests in the long window, the error budget is not judged.
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
    fault = (
        f"very_high_latency_seconds is {very_high:g}, but must be above "
        f"high_latency_seconds, which is {high:g}"
    )
    return [fault]
