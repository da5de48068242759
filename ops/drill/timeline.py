"""The states that one source reported, and whether an alert went through the right ones.

Pure: the caller passes the time, in seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """State of an alert."""

    INACTIVE = "inactive"
    PENDING = "pending"
    FIRING = "firing"


WORST_FIRST = (State.FIRING, State.PENDING, State.INACTIVE)


def worst(states: Sequence[State]) -> State:
    """Return the state of an alert with several series, which is that of the worst one."""
    return next((state for state in WORST_FIRST if state in states), State.INACTIVE)


@dataclass(frozen=True)
class Change:
    """An alert changed its state.

    Attributes:
        seconds: When the new state was seen.
        state: The new state.
        unseen_seconds: Time since the poll before, so an upper bound of the state's age.
    """

    seconds: float
    state: State
    unseen_seconds: float = 0.0


@dataclass
class Timeline:
    """The changes of every alert as one source reported them. All alerts start inactive."""

    changes: dict[str, list[Change]] = field(default_factory=dict)
    last_poll: float = 0.0

    def record(self, seconds: float, states: Mapping[str, State]) -> None:
        """Record what changed. An alert that is missing from ``states`` is inactive."""
        unseen, self.last_poll = seconds - self.last_poll, seconds
        for alert in sorted({*self.changes, *states}):
            state = states.get(alert, State.INACTIVE)
            if state is not self.current(alert):
                self.changes.setdefault(alert, []).append(Change(seconds, state, unseen))

    def current(self, alert: str) -> State:
        """Return the last known state of an alert."""
        changes = self.changes.get(alert)
        return changes[-1].state if changes else State.INACTIVE

    def fired(self) -> frozenset[str]:
        """Return the alerts that fired at any time."""
        return frozenset(
            alert
            for alert, changes in self.changes.items()
            if any(change.state is State.FIRING for change in changes)
        )

    def all_fired(self, alerts: Sequence[str]) -> bool:
        """Return whether all these alerts have fired."""
        return self.fired() >= set(alerts)

    def describe(self, alert: str, *, ended: float | None) -> str:
        """Describe an alert's changes in words.

        Args:
            alert: Its name.
            ended: When the cause ended; None if unknown.
        """
        return ", ".join(_describe(change, ended) for change in self.changes.get(alert, []))

    @property
    def all_inactive(self) -> bool:
        """Whether no alert is pending or firing."""
        return all(self.current(alert) is State.INACTIVE for alert in self.changes)


@dataclass(frozen=True)
class Verdict:
    """Whether an alert went through the right states, and what was seen of it."""

    ok: bool
    evidence: str


def judge(timeline: Timeline, alert: str, *, ended: float, wait_seconds: float | None) -> Verdict:
    """Judge an alert that had to fire: it must be pending, then firing, then resolved.

    Args:
        timeline: What was seen, in seconds since the cause began.
        alert: Its name.
        ended: When the cause ended.
        wait_seconds: How long the alert is pending before it fires; None if the source does not
            report pending alerts. On a busy machine the time between two polls may be longer
            than this, and then the pending state may go unseen.
    """
    changes = timeline.changes.get(alert, [])
    evidence = timeline.describe(alert, ended=ended) or "never pending"
    states = [change.state for change in changes]
    if State.FIRING not in states:
        return Verdict(ok=False, evidence=f"{evidence}; never firing")
    if states[-1] is not State.INACTIVE:
        return Verdict(ok=False, evidence=f"{evidence}; not resolved")
    not_pending_first = states[0] is not State.PENDING
    if wait_seconds is not None and not_pending_first and changes[0].unseen_seconds < wait_seconds:
        return Verdict(ok=False, evidence=f"{evidence}; fired without being pending first")
    return Verdict(ok=True, evidence=evidence)


def _describe(change: Change, ended: float | None) -> str:
    if change.state is State.INACTIVE:
        if ended is None:
            return f"resolved {change.seconds:+.0f} s"
        return f"resolved {change.seconds - ended:+.0f} s after the cause ended"
    return f"{change.state} {change.seconds:+.0f} s"
