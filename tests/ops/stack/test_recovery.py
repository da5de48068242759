"""What a killed command left behind is removed, and no more than that."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ops.processes.runner import Result
from ops.stack.commands import Operator
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import ScriptedRunner
from tests.ops.stack.operating import operator, state

BEGUN = [
    {"type": kind, "resource": {"type": f"docker:index/{resource}", "inputs": {"name": name}}}
    for kind, resource, name in (
        ("creating", "container:Container", "frontier-grafana"),
        ("creating", "network:Network", "frontier"),
        ("creating", "volume:Volume", "frontier-grafana-data"),
        ("deleting", "container:Container", "frontier-prometheus"),
    )
]


def inspected(kind: str, labels: str, name: str) -> str:
    shown = f'{{{{.Id}}}} {{{{index {labels} "frontier.stack"}}}}'
    return f"docker {kind} inspect --format {shown} {name}"


HALF_MADE = {
    **state(pending_operations=BEGUN),
    inspected("container", ".Config.Labels", "frontier-grafana"): Result(0, "c0ffee dev\n"),
    inspected("network", ".Labels", "frontier"): Result(0, "f00d dev\n"),
}


REMOVED = ["docker container rm --force --volumes c0ffee", "docker network rm f00d"]


def removed(runner: ScriptedRunner) -> list[str]:
    return [words for words in runner.commands if words.startswith("docker") and " rm " in words]


@pytest.mark.parametrize(
    ("command", "last"), [(Operator.up, "pulumi up"), (Operator.down, "pulumi destroy")]
)
def test_what_a_killed_up_was_creating_is_removed_after_the_refresh(
    root: Path, command: Callable[[Operator], int], last: str
) -> None:
    """Docker refuses a second container of the same name, and keeps a network that is in use."""
    runner = ScriptedRunner(HALF_MADE)

    assert command(operator(root, runner)) == 0

    assert removed(runner) == REMOVED
    order = [
        step
        for words in runner.commands
        for step in ("pulumi refresh", *REMOVED, last)
        if words.startswith(step)
    ]
    assert order == ["pulumi refresh", *REMOVED, last]


def test_what_a_killed_up_had_finished_stays(root: Path) -> None:
    """Pulumi lists a creation as pending until a refresh, even if it was finished."""
    finished = [{"type": "docker:index/container:Container", "id": "c0ffee"}]
    runner = ScriptedRunner({**HALF_MADE, **state(pending_operations=BEGUN, resources=finished)})

    assert operator(root, runner).up() == 0

    assert removed(runner) == ["docker network rm f00d"]


@pytest.mark.parametrize("label", ["", " other"], ids=["no label", "another stack's"])
def test_what_has_the_name_but_not_the_stacks_label_stays(root: Path, label: str) -> None:
    others = {
        inspected("container", ".Config.Labels", "frontier-grafana"): Result(0, f"c0ffee{label}\n"),
        inspected("network", ".Labels", "frontier"): Result(0, f"f00d{label}\n"),
    }
    runner = ScriptedRunner({**HALF_MADE, **others})

    assert operator(root, runner).down() == 0

    assert removed(runner) == []


def test_a_stack_in_an_organisation_removes_its_own(root: Path) -> None:
    """The label has the short name, as all names in Docker."""
    runner = ScriptedRunner(HALF_MADE)

    assert operator(root, runner, stack="acme/frontier/dev").down() == 0

    assert removed(runner) == REMOVED


def test_up_rebuilds_an_image_that_docker_no_longer_has(root: Path) -> None:
    images = [
        {
            "type": "docker:index/image:Image",
            "urn": f"urn:{name}",
            "outputs": {"repoDigest": f"sha256:{name}"},
        }
        for name in ("lost", "there")
    ]
    gone = {"docker image inspect sha256:lost": Result(1, "", "No such image")}
    runner = ScriptedRunner({**state(resources=images), **gone})

    assert operator(root, runner).up() == 0

    assert runner.changing[-1] == "pulumi up --yes --replace urn:lost"


@pytest.mark.parametrize("command", [Operator.up, Operator.down])
def test_a_locked_stack_is_reported_with_how_to_unlock_it(
    root: Path, command: Callable[[Operator], int]
) -> None:
    """The other command may be running, so what it creates stays."""
    locked = "error: the stack is currently locked by 1 lock(s).\n  created by me@here (pid 7)"
    runner = ScriptedRunner({**HALF_MADE, "pulumi refresh": Result(255, "", locked)})

    with pytest.raises(OperatorError) as raised:
        command(operator(root, runner))

    assert "(pid 7)" in str(raised.value)
    assert 'eval "$(make env)" && pulumi cancel --yes dev' in str(raised.value)
    assert removed(runner) == []
