"""The alerts, from the most to the least urgent.

Every expression returns nothing at zero traffic: ratios divide by ``x > 0``, quantiles of nothing
are NaN, which no comparison accepts, and a minimum count keeps one odd request from deciding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import availability, budget, latency, load

if TYPE_CHECKING:
    from alerts.model import Alert
    from monitoring.thresholds import Thresholds


def alerts(t: Thresholds) -> tuple[Alert, ...]:
    """Give every alert with its limits filled in."""
    return (
        availability.down(t),
        availability.engine_unreachable(t),
        latency.very_high_latency(t),
        budget.fast_burn(t),
        latency.high_latency(t),
        availability.high_error_rate(t),
        load.high_active_requests(t),
        latency.slow_generation(t),
        latency.slow_first_token(t),
        budget.slow_burn(t),
        load.no_requests(t),
    )
