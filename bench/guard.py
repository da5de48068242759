"""The regression guard: no ratio may fall below 0.8 of the recorded one. Pure functions."""

from collections.abc import Mapping

from bench.subjects import NGINX, OLLAMA, OPENAI
from bench.summary import Run

TOLERANCE = 0.8


def ratios(run: Run) -> dict[str, float]:
    """Return the guarded ratios by name. A larger ratio is better."""
    found: dict[str, float] = {}
    for subject in (OLLAMA, OPENAI):
        for kind in ("unary", "burst"):
            over, under = (subject, kind, 32), (NGINX, kind, 32)
            rate = run.ratio(over, under, "rate")
            cpu = run.ratio(under, over, "cpu_us")
            if rate is not None and cpu is not None:
                found[f"{subject}, {kind} 32: rate over nginx's"] = rate.median
                found[f"{subject}, {kind} 32: nginx's CPU over its"] = cpu.median
    return found


def regressions(now: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """Describe each ratio below `TOLERANCE` times the recorded one."""
    return [
        f"{name}: {now[name]:.3f}, recorded {value:.3f}"
        for name, value in recorded.items()
        if name in now and now[name] < TOLERANCE * value
    ]
