"""The workflows on GitHub, as far as they can be judged without running them."""

import re
from typing import Any

import pytest
import yaml

from ops.console import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name, name="workflow")
def _workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(request.param.read_text(encoding="utf-8"))
    return loaded


def test_actions_are_exact_versions(workflow: dict[str, Any]) -> None:
    """A tag such as v6 moves with each release; a digest never does."""
    used = [
        step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step
    ]
    exact = re.compile(r"[\w./-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})")
    assert [action for action in used if not exact.fullmatch(action)] == []


def test_what_may_write_runs_nothing_of_the_project(workflow: dict[str, Any]) -> None:
    assert set((workflow["permissions"] or {}).values()) <= {"read"}
    for job in workflow["jobs"].values():
        if "write" in (job.get("permissions") or {}).values():
            commands = "\n".join(step.get("run", "") for step in job["steps"])
            assert not re.search(r"\bmake\b|python|pip|\.ci/|npm|pulumi", commands)
