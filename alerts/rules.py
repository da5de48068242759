"""The alerts, from the most to the least urgent.

Without traffic only MistralNoRequests returns a series: ratios divide by ``x > 0``, and a quantile
without observations is NaN, for which no comparison holds. A minimum number of requests keeps
a single slow or failed one from firing an alert.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts import availability, budget, latency, load

if TYPE_CHECKING:
    from alerts.model import Alert
    from monitoring.thresholds import Thresholds


def alerts(t: Thresholds) -> tuple[Alert, ...]:
    """Return every alert, with its threshold filled in."""
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
