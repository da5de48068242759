"""
The numbers that alerts compare with: the seed's values as defaults, units in the names.

Validated once, all faults in one error, so that a stack setting gone wrong is one clear message.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Limits of the alerts; every field is a stack setting."""

    high_latency_seconds: float = 5.0
    very_high_latency_seconds: float = 10.0
    high_error_ratio: float = 0.05
    high_active_requests: int = 50
    slow_generation_seconds: float = 30.0
    no_requests_minutes: int = 10
