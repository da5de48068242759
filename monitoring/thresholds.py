"""The thresholds of the alerts; the defaults are those of the specification.

All of them are checked at once, so that one error message names everything that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from monitoring.names import SCRAPE_INTERVAL_SECONDS, SCRAPE_INTERVALS

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


# A rate needs two samples in its window. With four scrapes it still has them if two were lost.
WINDOW_SCRAPES: Final = 4

# The least number of scrapes in each window and `for` duration. Fewer than three in a row prove
# nothing: the newest may still be running, and one may have been lost. A cause has fewer than its
# symptoms, so that its alert fires first.
_SCRAPES: Final = {
    "window_seconds": WINDOW_SCRAPES,
    "down_for_seconds": 3,
    "page_for_seconds": 4,
    "ticket_for_seconds": 5,
    "notice_for_seconds": 3,
    "fast_burn_seconds": WINDOW_SCRAPES,
    "slow_burn_short_seconds": WINDOW_SCRAPES,
    "slow_burn_seconds": WINDOW_SCRAPES,
}


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Windows of the rules and how long a condition must hold, in whole seconds.

    The defaults suit every scrape interval up to 20 seconds; `for_scrape_interval` suits all.
    A drill shortens all of them in one place.

    Raises:
        ThresholdsError: A window or a `for` duration has too few scrapes.
    """

    scrape_interval_seconds: int = SCRAPE_INTERVAL_SECONDS
    # Window of rates and quantiles.
    window_seconds: int = 300
    # MistralDown.
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

    def __post_init__(self) -> None:
        interval = self.scrape_interval_seconds
        faults = [
            f"{name} is {getattr(self, name)}, but must be at least {scrapes * interval} if the "
            f"proxy is scraped every {interval} s"
            for name, scrapes in _SCRAPES.items()
            if getattr(self, name) < scrapes * interval
        ]
        if interval not in SCRAPE_INTERVALS:
            allowed = f"from {SCRAPE_INTERVALS[0]} to {SCRAPE_INTERVALS[-1]} s"
            faults = [f"the scrape interval is {interval} s, but must be {allowed}"]
        if faults:
            raise ThresholdsError("; ".join(faults))

    @classmethod
    def for_scrape_interval(cls, seconds: int) -> Timing:
        """Return the timing for a proxy that is scraped every ``seconds``.

        Up to 20 seconds it is the default timing. Beyond, what would have too few scrapes grows.

        Raises:
            ThresholdsError: The interval isn't allowed.
        """
        durations = {
            name: max(getattr(cls, name), scrapes * seconds) for name, scrapes in _SCRAPES.items()
        }
        return cls(scrape_interval_seconds=seconds, **durations)


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
    # Output tokens per second of one request, below which a reader has to wait for the text.
    slow_tokens_per_second: float = 3.0
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
        faults = [*_range_faults(self), *_order_faults(self), *_timing_faults(self)]
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
    if t.slow_tokens_per_second <= 0:
        faults.append(
            f"slow_tokens_per_second is {t.slow_tokens_per_second:g}, but must be above 0"
        )
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


def _timing_faults(t: Thresholds) -> list[str]:
    scrapes = WINDOW_SCRAPES * t.timing.scrape_interval_seconds
    if t.no_requests_minutes * 60 >= scrapes:
        return []
    fault = (
        f"no_requests_minutes is {t.no_requests_minutes}, but the proxy is scraped every "
        f"{t.timing.scrape_interval_seconds} s and {WINDOW_SCRAPES} scrapes take {scrapes} s"
    )
    return [fault]
