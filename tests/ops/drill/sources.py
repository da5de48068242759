"""A scripted source of alert states."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ops.drill.timeline import State
from ops.drill.watcher import AlertSourceError


@dataclass
class Script:
    """A source that reports scripted states, and then repeats the last ones."""

    polls: Iterator[Mapping[str, State] | None]
    where: str = "in a script"
    shows_pending: bool = True
    last: Mapping[str, State] = field(default_factory=dict)

    def states(self) -> Mapping[str, State]:
        found = next(self.polls, self.last)
        if found is None:
            raise AlertSourceError("busy")
        self.last = found
        return found
