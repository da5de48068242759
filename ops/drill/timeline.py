"""What alerts went through, as an observer saw it, and whether that is what it should have been.

Pure: seconds come from the caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """State of one alert."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


WORST_FIRST = (State.FIRING, State.PENDING, State.INACTIVE)


def worst(states: Sequence[State]) -> State:
    """Give the state of an alert with several series: that of its worst one."""
    return next((state for state in WORST_FIRST if state in states), State.INACTIVE)


@dataclass(frozen=True)
class Change:
    """An alert came into a state, at most ``unseen_seconds`` before it was seen."""

    seconds: float
    state: State
    unseen_seconds: float = 0.0


@dataclass
class Timeline:
    """The changes of every alert that one observer saw; all start inactive."""

    changes: dict[str, list[Change]] = field(default_factory=dict)
    looked: float = 0.0

    def record(self, seconds: float, states: Mapping[str, State]) -> None:
        """Write down what changed; an alert that is not named is inactive."""
        unseen, self.looked = seconds - self.looked, seconds
        for alert in sorted({*self.changes, *states}):
            state = states.get(alert, State.INACTIVE)
            if state is not self.now(alert):
                self.changes.setdefault(alert, []).append(Change(seconds, state, unseen))

    def now(self, alert: str) -> State:
        """Give the last known state."""
        changes = self.changes.get(alert)
        return changes[-1].state if changes else State.INACTIVE

    def fired(self) -> frozenset[str]:
        """Give the alerts that fired at any time."""
        return frozenset(
            alert
            for alert, changes in self.changes.items()
            if any(change.state is State.FIRING for change in changes)
        )

    def all_firing(self, alerts: Sequence[str]) -> bool:
        """Tell whether all these alerts have fired."""
        return self.fired() >= set(alerts)

    def story(self, alert: str, *, ended: float | None) -> str:
        """Tell an alert's changes in words; see ``judge``."""
        return ", ".join(_told(change, ended) for change in self.changes.get(alert, []))

    @property
    def quiet(self) -> bool:
        """Whether nothing is pending or firing."""
        return all(self.now(alert) is State.INACTIVE for alert in self.changes)


@dataclass(frozen=True)
class Verdict:
    """Whether one alert went the way it should, and what was seen of it."""

    ok: bool
    evidence: str


def judge(timeline: Timeline, alert: str, *, ended: float, waits_seconds: float | None) -> Verdict:
    """Judge the journey of an alert that had to fire: pending, firing, resolved, in this order.

    Args:
        timeline: What was seen, seconds counted from the start of the cause.
        alert: Its name.
        ended: When the cause ended.
        waits_seconds: How long the alert is pending in sight of the observer before it fires;
            None where the observer can't see that. On a busy machine two looks may be so far
            apart that the whole of it falls between them.
    """
    changes = timeline.changes.get(alert, [])
    evidence = timeline.story(alert, ended=ended) or "never pending"
    states = [change.state for change in changes]
    if State.FIRING not in states:
        return Verdict(ok=False, evidence=f"{evidence}; never firing")
    if states[-1] is not State.INACTIVE:
        return Verdict(ok=False, evidence=f"{evidence}; not resolved")
    unannounced = states[0] is not State.PENDING
    if waits_seconds is not None and unannounced and changes[0].unseen_seconds < waits_seconds:
        return Verdict(ok=False, evidence=f"{evidence}; fired without having been pending")
    return Verdict(ok=True, evidence=evidence)


def _told(change: Change, ended: float | None) -> str:
    if change.state is State.INACTIVE:
        if ended is None:
            return f"resolved {change.seconds:+.0f} s"
        return f"resolved {change.seconds - ended:+.0f} s after the cause"
    return f"{change.state} {change.seconds:+.0f} s"
