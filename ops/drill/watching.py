"""Ask every observer again and again, and write down what they say."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ops.drill.timeline import State, Timeline, worst
from ops.services.prometheus_api import Prometheus, PrometheusError

PAUSE_SECONDS = 0.25


class ObserverError(Exception):
    """An observer could not be asked; the message says why."""


class Observer(Protocol):
    """Someone who knows the alerts' states."""

    @property
    def place(self) -> str:
        """Where it looks, for the operator: ``in Prometheus``."""

    @property
    def shows_pending(self) -> bool:
        """Whether it can tell that an alert waits."""

    def states(self) -> Mapping[str, State]:
        """Give every alert's state. Raises ObserverError."""


@dataclass(frozen=True)
class InPrometheus:
    """The alerts as a Prometheus server evaluates them."""

    url: str
    place: str = "in Prometheus"
    shows_pending: bool = True

    def states(self) -> Mapping[str, State]:
        """Give every rule's state."""
        try:
            rules = Prometheus(self.url).alert_rules()
        except PrometheusError as error:
            raise ObserverError(str(error)) from error
        return {name: worst([State(rule["state"])]) for name, rule in rules.items()}


@dataclass
class Watch:
    """One look-out over all observers, from the start of a cause to its last alert's end.

    Attributes:
        observers: Whom to ask.
        clock: Seconds that only grow.
        pause: Passes time between two looks.
    """

    observers: Sequence[Observer]
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    timelines: list[Timeline] = field(default_factory=list)
    complaints: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started = self.clock()
        self.timelines = [Timeline() for _ in self.observers]

    @property
    def seconds(self) -> float:
        """Time since the watch began."""
        return self.clock() - self._started

    def look(self) -> None:
        """Ask everyone once; who can't be asked is left as last known."""
        for observer, timeline in zip(self.observers, self.timelines, strict=True):
            try:
                timeline.record(self.seconds, observer.states())
            except ObserverError as error:
                self.complaints[observer.place] = str(error)

    def until(self, good: Callable[["Watch"], bool], *, seconds: float) -> bool:
        """Look until it is good or the time is over; tells whether it became good."""
        deadline = self.seconds + seconds
        while True:
            self.look()
            if good(self):
                return True
            if self.seconds >= deadline:
                return False
            self.pause(PAUSE_SECONDS)
