"""Builds PromQL, so that selectors and durations are written the same way everywhere."""

from __future__ import annotations

from typing import Final

from monitoring.names import JOB

# Selects the proxy's series.
PROXY: Final = f'job="{JOB}"'

_UNITS: Final = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def duration(seconds: int) -> str:
    """Write whole seconds in the largest unit of PromQL that fits: 300 is ``5m``."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def increase(metric: str, seconds: int, *, by: str = "job", where: str = "") -> str:
    """Return the query for the growth of a proxy's counter in the last ``seconds``."""
    return f"sum by ({by}) (increase({metric}{{{_match(where)}}}[{duration(seconds)}]))"


def rate(metric: str, seconds: int, *, by: str = "job", where: str = "") -> str:
    """Return the query for a counter's growth per second over the last ``seconds``."""
    return f"sum by ({by}) (rate({metric}{{{_match(where)}}}[{duration(seconds)}]))"


def p95(histogram: str, seconds: int, *, by: str = "job") -> str:
    """Return the query for the 95th percentile of a proxy's histogram."""
    return f"histogram_quantile(0.95, {rate(f'{histogram}_bucket', seconds, by=f'{by}, le')})"


def require(condition: str, *, on: str = "job") -> str:
    """Return a guard that keeps an alert only where ``condition`` holds."""
    return f"and on ({on}) {condition}"


def quiet_while(condition: str, *, on: str = "job") -> str:
    """Return a guard that silences an alert where ``condition`` holds."""
    return f"unless on ({on}) ({condition})"


def _match(where: str) -> str:
    return f"{PROXY},{where}" if where else PROXY
