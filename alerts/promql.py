"""Builds PromQL, so that selectors and durations are written the same way everywhere."""

from __future__ import annotations

from typing import Final

from monitoring.names import JOB

# Selects the proxy's series.
PROXY: Final = f'job="{JOB}"'

# Labels to group and to join by. A symptom belongs to one proxy, the error budget to all of them.
BY_JOB: Final = "job"
BY_INSTANCE: Final = "job, instance"
BY_MODEL: Final = "job, instance, model"

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def duration(seconds: int) -> str:
    """Write whole seconds in the largest unit of PromQL that fits: 300 is ``5m``."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def increase(metric: str, seconds: int, *, by: str, where: str = "") -> str:
    """Return the query for the growth of a proxy's counter in the last ``seconds``."""
    return f"sum by ({by}) (increase({metric}{{{_match(where)}}}[{duration(seconds)}]))"


def rate(metric: str, seconds: int, *, by: str, where: str = "", offset_seconds: int = 0) -> str:
    """Return the query for a counter's growth per second over ``seconds``, until ``offset`` ago."""
    offset = f" offset {duration(offset_seconds)}" if offset_seconds else ""
    return f"sum by ({by}) (rate({metric}{{{_match(where)}}}[{duration(seconds)}]{offset}))"


def p95(histogram: str, seconds: int, *, by: str) -> str:
    """Return the query for the 95th percentile of a proxy's histogram."""
    return f"histogram_quantile(0.95, {rate(f'{histogram}_bucket', seconds, by=f'{by}, le')})"


def over_time(function: str, series: str, seconds: int) -> str:
    """Return the query for a function of all samples of the last ``seconds``."""
    return f"{function}_over_time({series}[{duration(seconds)}])"


def require(condition: str, *, on: str) -> str:
    """Return a guard that keeps an alert only where ``condition`` holds."""
    return f"and on ({on}) {condition}"


def quiet_while(condition: str, *, on: str) -> str:
    """Return a guard that silences an alert where ``condition`` holds."""
    return f"unless on ({on}) ({condition})"


def _match(where: str) -> str:
    return f"{PROXY},{where}" if where else PROXY
