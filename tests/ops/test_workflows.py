"""The workflows on GitHub, as far as they can be judged without running them."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.maintenance.locks import INPUT, pins
from ops.system.paths import ROOT

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


def test_the_preview_runs_the_cli_that_the_packages_were_upgraded_to(tmp_path: Path) -> None:
    preview = yaml.safe_load((ROOT / ".github" / "workflows" / "preview.yml").read_text())
    (step,) = [step for step in preview["jobs"]["preview"]["steps"] if step.get("id") == "pulumi"]
    (tmp_path / "head").symlink_to(ROOT)
    output = tmp_path / "output"

    subprocess.run(
        ["sh", "-c", step["run"]],
        cwd=tmp_path,
        env={**os.environ, "GITHUB_OUTPUT": str(output)},
        check=True,
    )

    version = pins((ROOT / INPUT).read_text())["pulumi"]
    assert output.read_text() == f"version={version}\n"
