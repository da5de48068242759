"""Watches new containers while Pulumi waits for them to become healthy.

Pulumi's provider only waits: it shows neither a log nor how far a start is, and waits until its
timeout for a container that ends again and again. Nor can it be stopped: after an interrupt, Pulumi
waits for what has begun. So a container that can't start is removed, which ends the wait at once
and leaves a state that the next ``up`` continues from.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.clients.docker import ContainerState, DockerEngine, End
from ops.processes.runner import Interruption
from ops.stack.meaning import meaning_of
from ops.terminal.status import Terminal

# A fault that isn't the container's own, such as a lost connection, may be over after a restart.
MAX_RESTARTS: Final = 3

LAST_LINES: Final = 15

# How long a container may still take after an interrupt: its predecessor is gone already.
GRACE_SECONDS: Final = 15.0

# The service whose start depends on the model, as a key of ``MEMBERS``.
ENGINE_SERVICE: Final = "engine"

POLL_SECONDS: Final = 2.0

# Seconds between two lines of status where a line can't be rewritten in place.
STATUS_SECONDS: Final = 30.0

# A container is seen some seconds after Pulumi begins to wait for it.
_MOST_OF_A_WAIT: Final = 0.8

# Colours and cursor movements in a log.
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Starting:
    """A container that Pulumi may start.

    Attributes:
        service: The service, by the name that operators use.
        container: Its name.
        wait_seconds: How long Pulumi waits for it to become healthy.
    """

    service: str
    container: str
    wait_seconds: int


class StartWatch:
    """Watches containers while a command runs.

    Args:
        docker: The Docker host.
        starting: The containers; one that exists already is watched only if it is replaced.
        terminal: Shows how far they are.
        logs: Folder to which the log of a removed container is written.
        clock: Monotonic clock, in seconds.
        poll_seconds: Time between two looks.
    """

    def __init__(  # noqa: PLR0913 (the last two are for tests)
        self,
        docker: DockerEngine,
        starting: list[Starting],
        terminal: Terminal,
        logs: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._docker = docker
        self._starting = starting
        self._terminal = terminal
        self._logs = logs
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._first_seen: dict[str, float] = {}
        self._next_status = clock()
        self._problem: str | None = None

    def run(self, command: Callable[[Interruption], int]) -> tuple[int, str | None]:
        """Run a command that starts the containers.

        Args:
            command: Runs until it has ended or is interrupted; returns its exit code.

        Returns:
            The exit code, and what is wrong with a container that can't start; None if none is
            known not to.
        """
        before = {name: state.id for name, state in self._states().items()}
        interruption, over = Interruption(), threading.Event()
        watching = threading.Thread(
            target=self._watch, args=(before, interruption, over), daemon=True
        )
        watching.start()
        try:
            code = command(interruption)
        finally:
            over.set()
            watching.join()
            self._terminal.show_status("")
        if code and self._problem is None:
            self._problem = self._timed_out(before)
        return code, self._problem

    def _states(self) -> dict[str, ContainerState]:
        found = {
            one.container: self._docker.container_state(one.container) for one in self._starting
        }
        return {name: state for name, state in found.items() if state is not None}

    def _new(self, before: Mapping[str, str]) -> list[tuple[Starting, ContainerState]]:
        states = self._states()
        return [
            (one, states[one.container])
            for one in self._starting
            if one.container in states
            and states[one.container].id != before.get(one.container)
            and states[one.container].health != "healthy"
        ]

    def _watch(
        self, before: Mapping[str, str], interruption: Interruption, over: threading.Event
    ) -> None:
        ending_since = None
        while not over.wait(self._poll_seconds):
            waiting = self._new(before)
            for one, state in waiting:
                self._first_seen.setdefault(state.id, self._clock())
                if state.restarts >= MAX_RESTARTS and self._problem is None:
                    self._problem = self._restarting(one, state)
                    interruption.wanted.set()
                    self._docker.remove_container(state.id)
            if not (interruption.came.is_set() or interruption.wanted.is_set()):
                self._show(waiting)
                continue
            ending_since = self._clock() if ending_since is None else ending_since
            if self._clock() - ending_since >= GRACE_SECONDS:
                self._abandon(waiting)

    def _abandon(self, waiting: list[tuple[Starting, ContainerState]]) -> None:
        """End Pulumi's wait for containers after an interrupt; the next ``up`` makes them anew."""
        for one, state in waiting:
            self._terminal.say(f"Interrupted: removing {one.container}, which isn't healthy yet.")
            self._docker.remove_container(state.id)

    def _show(self, waiting: list[tuple[Starting, ContainerState]]) -> None:
        if not waiting:
            self._terminal.show_status("")
            return
        if not self._terminal.rewrites and self._clock() < self._next_status:
            return
        self._next_status = self._clock() + STATUS_SECONDS
        one, state = waiting[0]
        seconds = int(self._clock() - self._first_seen[state.id])
        parts = [f"{one.service}: starting for {seconds} s", self._docker.usage(state.id)]
        parts += _readable(self._docker.last_lines(state.id, 1))
        self._terminal.show_status("; ".join(part.strip() for part in parts if part))

    def _restarting(self, one: Starting, state: ContainerState) -> str:
        lines = _readable(self._docker.last_lines(state.id))
        log = self._logs / f"{one.container}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        end = self._docker.last_end(state)
        how = "" if end is None else f", last with exit code {end.code}"
        return (
            f"{one.service}: the container {one.container} ended {state.restarts} times without "
            f"becoming healthy{how}, and was removed. Its last lines:\n"
            f"{_indented(lines)}\n"
            f"{self._advice(one, lines, end)}The whole log is in {log}."
        )

    def _timed_out(self, before: Mapping[str, str]) -> str | None:
        for one, state in self._new(before):
            since = self._first_seen.get(state.id)
            if since is None or self._clock() - since < _MOST_OF_A_WAIT * one.wait_seconds:
                continue
            lines = _readable(self._docker.last_lines(state.id, LAST_LINES))
            setting = "engineWaitSeconds" if one.service == ENGINE_SERVICE else "waitSeconds"
            return (
                f"{one.service}: the container {one.container} isn't healthy after "
                f"{one.wait_seconds} s. Its last lines:\n{_indented(lines)}\n"
                f"{self._advice(one, lines, None)}If it only needs more time, raise {setting}. "
                f"The log continues: `make logs SERVICE={one.service}`."
            )
        return None

    def _advice(self, one: Starting, lines: list[str], end: End | None) -> str:
        meaning = meaning_of(lines[-LAST_LINES:], end, engine=one.service == ENGINE_SERVICE)
        return f"{meaning}\n" if meaning else ""


def _readable(lines: list[str]) -> list[str]:
    """Return lines as a terminal would show them, without colours and empty ones."""
    shown = [_ESCAPE.sub("", line.rpartition("\r")[2]).rstrip() for line in lines]
    return [line for line in shown if line]


def _indented(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines[-LAST_LINES:]) or "  (it wrote none)"
