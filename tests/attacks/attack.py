"""What an attack is."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.attacks.sender import Sender, Work

Run = Callable[[Sender], Work]


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: What it is called in reports and on the command line.
        sends: What it sends, in one sentence.
        aims_at: The bound that it aims at, in the words of docs/robustness.md, or what else should
            hold.
        expects: Statuses of which at least one must be among the answers. Otherwise the attack
            never reached what it aims at.
        takes_slots: Whether its requests are valid and take up the engine, so that others may have
            to wait, or get Ollama's 503.
        run: Sends it, for as long as it is allowed to.
    """

    name: str
    sends: str
    aims_at: str
    expects: tuple[int, ...]
    takes_slots: bool
    run: Run

    def reached(self, connections: int, answers: Mapping[str, int]) -> bool:
        """Return whether the attack has reached its aim with these connections and answers."""
        return connections > 0 and (
            not self.expects or any(str(status) in answers for status in self.expects)
        )


def attack(
    aims_at: str, *, expects: tuple[int, ...] = (), takes_slots: bool = False
) -> Callable[[Run], Attack]:
    """Make an attack of a coroutine function, whose docstring says what it sends."""

    def make(run: Run) -> Attack:
        name = getattr(run, "__name__", "").replace("_", "-")
        return Attack(name, inspect.getdoc(run) or "", aims_at, expects, takes_slots, run)

    return make
