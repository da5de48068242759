"""What ``make up`` does while containers start, with a Docker Engine whose answers follow a script.

A command stands in for Pulumi: it ends when it is stopped, or when the script says so.
"""

import io
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops.clients.docker import DockerEngine
from ops.processes.runner import Interruption, Result
from ops.stack.starting import GRACE_SECONDS, LAST_LINES, MAX_RESTARTS, Starting, StartWatch
from ops.terminal.console import OperatorError
from ops.terminal.status import Terminal
from tests.ops.clock import Clock
from tests.ops.scripted_runner import ScriptedRunner
from tests.ops.stack.operating import operator

ENGINE = Starting("engine", "frontier-mistral", wait_seconds=900)
PROXY = Starting("proxy", "frontier-mistral-ollama-proxy", wait_seconds=120)
GATED = (
    "2026-01-02T03:04:05.000000001Z \x1b[32mINFO\x1b[0m loading\n",
    "2026-01-02T03:04:05.000000002Z Error: Could not access `a/b` on Hugging Face (HTTP 401).\n",
)


class UpdateUntilStopped(ScriptedRunner):
    """Runs an update that ends only when it is stopped."""

    def relay(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        write_line: Callable[[str], None],
        interruption: Interruption,
    ) -> int:
        super().relay(command, environ, write_line, interruption)
        return until_stopped(interruption)


@dataclass
class ScriptedDocker(UpdateUntilStopped):
    """Inspects containers as scripted: one state after the other, the last one for good.

    Attributes:
        states: States by container name, as (id, restarts, health); None for no container.
        looks: Set after each look at the last scripted state.
    """

    states: dict[str, list[tuple[str, int, str] | None]] = field(default_factory=dict)
    looks: threading.Event = field(default_factory=threading.Event)

    def capture(self, command: Sequence[str], environ: Mapping[str, str]) -> Result:
        done = super().capture(command, environ)
        if list(command[1:3]) != ["container", "inspect"]:
            return done
        script = self.states.get(command[-1], [None])
        state = script.pop(0) if len(script) > 1 else script[0]
        if all(len(states) == 1 for states in self.states.values()):
            self.looks.set()
        if state is None:
            return Result(1, "", "Error: No such container")
        name, restarts, health = state
        shown = {
            "Id": name,
            "Created": "2026-01-02T03:04:00Z",
            "RestartCount": restarts,
            "State": {"Health": {"Status": health}},
        }
        return Result(0, json.dumps(shown))


def watch(
    docker: ScriptedDocker,
    logs: Path,
    *,
    starting: Starting = ENGINE,
    output: io.StringIO | None = None,
    clock: Clock | None = None,
) -> StartWatch:
    return StartWatch(
        DockerEngine(docker),
        [starting],
        Terminal(output or io.StringIO()),
        logs,
        clock=clock or Clock(),
        poll_seconds=0.001,
    )


def until_stopped(interruption: Interruption) -> int:
    assert interruption.wanted.wait(30)
    return 255


def test_a_container_that_ends_again_and_again_is_removed_and_its_last_lines_are_told(
    tmp_path: Path,
) -> None:
    crashing: list[tuple[str, int, str] | None] = [
        None,
        *(("new", restarts, "starting") for restarts in range(MAX_RESTARTS + 1)),
    ]
    docker = ScriptedDocker(
        {
            "docker logs": Result(0, GATED[0], GATED[1]),
            "docker events": Result(0, "die 1\ndie 1\n"),
        },
        states={ENGINE.container: crashing},
    )

    code, problem = watch(docker, tmp_path).run(until_stopped)

    assert code == 255
    assert problem is not None
    assert f"frontier-mistral ended {MAX_RESTARTS} times" in problem
    assert "exit code 1" in problem
    assert "  INFO loading\n  Error: Could not access `a/b`" in problem
    assert "hfToken" in problem
    assert "docker container rm --force --volumes new" in docker.commands
    assert "HTTP 401" in (tmp_path / "frontier-mistral.log").read_text()


def test_only_the_last_lines_are_shown_and_all_are_kept(tmp_path: Path) -> None:
    lines = [f"2026-01-02T03:04:05.{number:09}Z line {number}\n" for number in range(100)]
    docker = ScriptedDocker(
        {"docker logs": Result(0, "".join(lines))},
        states={ENGINE.container: [None, ("new", MAX_RESTARTS, "starting")]},
    )

    _, problem = watch(docker, tmp_path).run(until_stopped)

    assert problem is not None
    assert problem.count("  line ") == LAST_LINES
    assert "line 99" in problem
    assert len((tmp_path / "frontier-mistral.log").read_text().splitlines()) == 100


def test_a_process_that_lacked_memory_is_told_so(tmp_path: Path) -> None:
    docker = ScriptedDocker(
        {"docker events": Result(0, "oom <no value>\ndie 137\n")},
        states={ENGINE.container: [None, ("new", MAX_RESTARTS, "starting")]},
    )

    _, problem = watch(docker, tmp_path).run(until_stopped)

    assert problem is not None
    assert "exit code 137" in problem
    assert "engineMemoryMb" in problem


@pytest.mark.parametrize(
    "states",
    [
        [("old", 9, "unhealthy")],
        [("old", 9, "starting"), ("new", 0, "starting")],
        [None, ("new", MAX_RESTARTS - 1, "starting"), ("new", MAX_RESTARTS - 1, "healthy")],
        [None, ("new", 9, "healthy")],
    ],
    ids=["not replaced", "replaced", "few restarts", "healthy at last"],
)
def test_every_other_container_is_left_alone(
    states: list[tuple[str, int, str] | None], tmp_path: Path
) -> None:
    docker = ScriptedDocker(states={ENGINE.container: states})

    def update(interruption: Interruption) -> int:
        assert docker.looks.wait(30)
        docker.looks.clear()
        assert docker.looks.wait(30)
        return 1 if interruption.wanted.is_set() else 0

    assert watch(docker, tmp_path).run(update) == (0, None)
    assert not any(" rm " in words for words in docker.commands)


def test_how_far_a_start_is_is_shown_with_the_last_line_of_its_log(tmp_path: Path) -> None:
    output = io.StringIO()
    docker = ScriptedDocker(
        {
            "docker stats": Result(0, "812MB / 3MB|1.2GiB / 8GiB\n"),
            "docker logs": Result(0, "2026-01-02T03:04:05Z \x1b[1m  40 of 93 MB\x1b[0m\n"),
        },
        states={ENGINE.container: [None, ("new", 0, "starting")]},
    )

    def update(_: Interruption) -> int:
        assert docker.looks.wait(30)
        docker.looks.clear()
        assert docker.looks.wait(30)
        return 0

    watch(docker, tmp_path, output=output).run(update)

    assert output.getvalue() == (
        "engine: starting for 0 s; 812MB received, 1.2GiB of 8GiB of memory; 40 of 93 MB\n"
    )


@pytest.mark.parametrize(
    ("starting", "setting"), [(ENGINE, "engineWaitSeconds"), (PROXY, "waitSeconds")]
)
def test_a_container_that_only_takes_too_long_is_told_with_its_log_and_stays(
    starting: Starting, setting: str, tmp_path: Path
) -> None:
    clock = Clock()
    docker = ScriptedDocker(
        {"docker logs": Result(0, "2026-01-02T03:04:05Z loading\n")},
        states={starting.container: [None, ("new", 0, "starting")]},
    )

    def update(_: Interruption) -> int:
        assert docker.looks.wait(30)
        docker.looks.clear()
        assert docker.looks.wait(30)
        clock.sleep(starting.wait_seconds)
        return 255

    code, problem = watch(docker, tmp_path, starting=starting, clock=clock).run(update)

    assert code == 255
    assert problem is not None
    assert f"isn't healthy after {starting.wait_seconds} s" in problem
    assert "  loading\n" in problem
    assert f"raise {setting}" in problem
    assert f"make logs SERVICE={starting.service}" in problem
    assert not any(" rm " in words for words in docker.commands)


def test_after_an_interrupt_a_container_has_a_moment_to_become_healthy(tmp_path: Path) -> None:
    """Pulumi waits for it; the old one is gone, so it is removed only if it takes long."""
    clock, output = Clock(), io.StringIO()
    docker = ScriptedDocker(states={ENGINE.container: [None, ("new", 0, "starting")]})

    def update(interruption: Interruption) -> int:
        interruption.came.set()
        for _ in range(2):
            docker.looks.clear()
            assert docker.looks.wait(30)
        assert removals(docker) == []
        clock.sleep(GRACE_SECONDS)
        for _ in range(2):
            docker.looks.clear()
            assert docker.looks.wait(30)
        return 255

    code, problem = watch(docker, tmp_path, output=output, clock=clock).run(update)

    assert (code, problem) == (255, None)
    assert removals(docker)[0] == "docker container rm --force --volumes new"
    assert "Interrupted: removing frontier-mistral" in output.getvalue()


def removals(docker: ScriptedDocker) -> list[str]:
    return [words for words in docker.commands if " rm " in words]


def test_an_update_that_fails_for_another_reason_says_nothing_of_containers(
    tmp_path: Path,
) -> None:
    docker = ScriptedDocker(states={ENGINE.container: [None, ("new", 0, "starting")]})

    assert watch(docker, tmp_path).run(lambda _: 255) == (255, None)


def test_up_stops_with_what_is_wrong_instead_of_pulumis_exit_code(root: Path) -> None:
    docker = ScriptedDocker(states={ENGINE.container: [None, ("new", MAX_RESTARTS, "starting")]})

    with pytest.raises(OperatorError, match="engine: the container frontier-mistral ended"):
        operator(root, docker).up()

    assert (root / ".run" / "frontier-mistral.log").exists()
