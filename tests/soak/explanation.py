"""Decide whether a fault explains each failed request. Pure functions.

Counting alone isn't enough: a run in which the engine refuses nearly everything has exact counts,
too. So every failure must overlap a fault that the test itself injected, and of the requests
that begin between two faults most must succeed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.soak.reconciliation import Result, Status

# Time after a fault in which its consequences may still appear: the proxy probes the engine every
# half a second, and a resumed engine first works on what has arrived in the meantime.
MARGIN_SECONDS: Final = 3.0


@dataclass(frozen=True)
class Window:
    """The time in which a fault was active, in seconds of the monotonic clock."""

    kind: str
    began: float
    ended: float

    def overlaps(self, began: float, ended: float) -> bool:
        """Return whether the fault or its consequences fall between two times."""
        return began <= self.ended + MARGIN_SECONDS and ended >= self.began


@dataclass(frozen=True)
class Explanation:
    """What the faults explain.

    Attributes:
        explained: Number of failed requests by the kind of the fault. If faults overlap, the first
            one counts.
        unexplained: Failed requests during which no fault was active.
        undisturbed: Requests that began while no fault was active and were judged.
        answered: Those of them that succeeded.
    """

    explained: Counter[str]
    unexplained: list[Result]
    undisturbed: int
    answered: int

    @property
    def share(self) -> float:
        """Share of the undisturbed requests that succeeded, 0 to 1; 0 if there were none."""
        return self.answered / self.undisturbed if self.undisturbed else 0.0


def explain(results: Iterable[Result], windows: Sequence[Window]) -> Explanation:
    """Compare the times of the requests with the times of the faults."""
    explained: Counter[str] = Counter()
    unexplained: list[Result] = []
    undisturbed = answered = 0
    for result in results:
        if result.status not in (Status.SUCCESS, Status.ERROR):
            continue
        if not any(window.overlaps(result.began, result.began) for window in windows):
            undisturbed += 1
            answered += result.status is Status.SUCCESS
        if result.status is Status.ERROR:
            kind = next((w.kind for w in windows if w.overlaps(result.began, result.ended)), None)
            if kind is None:
                unexplained.append(result)
            else:
                explained[kind] += 1
    return Explanation(explained, unexplained, undisturbed, answered)
