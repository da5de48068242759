"""Poll every source of alert states and record what it reports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ops.clients.prometheus import Prometheus, PrometheusError
from ops.drill.timeline import State, Timeline
from ops.processes.polling import Poller

POLLER = Poller(interval_seconds=0.25)


class AlertSourceError(Exception):
    """A source could not be read; the message says why."""


class AlertSource(Protocol):
    """Something that reports the alerts' states."""

    @property
    def where(self) -> str:
        """Where the states were seen, for the operator: ``in Prometheus``."""

    @property
    def shows_pending(self) -> bool:
        """Whether it reports pending alerts."""

    def states(self) -> Mapping[str, State]:
        """Return the alerts' states by name. Raises AlertSourceError."""


@dataclass(frozen=True)
class PrometheusAlerts:
    """The alerts as a Prometheus server evaluates them."""

    url: str
    where: str = "in Prometheus"
    shows_pending: bool = True

    def states(self) -> Mapping[str, State]:
        """Return the state of every rule."""
        try:
            rules = Prometheus(self.url).alert_rules()
        except PrometheusError as error:
            raise AlertSourceError(str(error)) from error
        return {name: State(rule["state"]) for name, rule in rules.items()}


@dataclass
class AlertWatcher:
    """Records the states from the start of a cause until its alerts have resolved.

    Attributes:
        sources: Sources to poll.
        poller: Decides when they are polled, and has the clock.
        timelines: What each source reported, in the order of ``sources``.
        errors: Last error of each source that failed, by ``where``.
    """

    sources: Sequence[AlertSource]
    poller: Poller = POLLER
    timelines: list[Timeline] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started = self.poller.clock()
        self.timelines = [Timeline() for _ in self.sources]

    @property
    def seconds(self) -> float:
        """Seconds since the watcher was created."""
        return self.poller.clock() - self._started

    def poll(self) -> None:
        """Read every source once. A source that fails keeps its last known states."""
        for source, timeline in zip(self.sources, self.timelines, strict=True):
            try:
                timeline.record(self.seconds, source.states())
            except AlertSourceError as error:
                self.errors[source.where] = str(error)

    def poll_until(self, good: Callable[["AlertWatcher"], bool], *, timeout: float) -> bool:
        """Poll until ``good`` or ``timeout`` seconds have passed. Return whether it was good."""

        def poll_once() -> bool:
            self.poll()
            return good(self)

        return self.poller.until(poll_once, bool, timeout=timeout)
