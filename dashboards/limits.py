"""The alert limits that the dashboard draws, as far as it cares about them."""

from __future__ import annotations

from typing import Protocol


class Limits(Protocol):
    """What ``alerts.thresholds.Thresholds`` has; dashboards import nothing of the alerts."""

    @property
    def high_latency_seconds(self) -> float:
        """Limit of MistralHighLatency."""
        ...

    @property
    def very_high_latency_seconds(self) -> float:
        """Limit of MistralVeryHighLatency."""
        ...

    @property
    def high_error_ratio(self) -> float:
        """Limit of MistralHighErrorRate, 0 to 1."""
        ...

    @property
    def high_active_requests(self) -> int:
        """Limit of MistralHighActiveRequests."""
        ...

    @property
    def slow_generation_seconds(self) -> float:
        """Limit of MistralSlowGeneration."""
        ...

    @property
    def slow_first_token_seconds(self) -> float:
        """Limit of MistralSlowFirstToken."""
        ...

    @property
    def availability_objective(self) -> float:
        """Share of the requests that shall not fail, 0 to 1."""
        ...
