"""The workflows on GitHub, as far as they can be judged without running them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ops.checkout import ROOT
from ops.locks import INPUT, pins

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.name, name="workflow")
def _workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(request.param.read_text(encoding="utf-8"))
    return loaded


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_the_version_beside_it(path: Path) -> None:
    """A tag can be moved to other code; a commit can't."""
    used = re.findall(r"uses: *(.*)", path.read_text(encoding="utf-8"))
    pinned = re.compile(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert used
    assert [action for action in used if not pinned.fullmatch(action)] == []


def test_an_action_has_the_same_commit_everywhere() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    pins = set(re.findall(r"uses: *([\w./-]+)@(.*)", text))
    assert len(pins) == len({action for action, _ in pins})


def test_the_stack_is_brought_up_for_real_every_night() -> None:
    nightly = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    assert "make e2e" in [step.get("run") for step in nightly["jobs"]["e2e"]["steps"]]


def test_jobs_that_may_write_run_none_of_the_projects_code(workflow: dict[str, Any]) -> None:
    assert set((workflow["permissions"] or {}).values()) <= {"read"}
    for job in workflow["jobs"].values():
        if "write" in (job.get("permissions") or {}).values():
            commands = "\n".join(step.get("run", "") for step in job["steps"])
            assert not re.search(r"\bmake\b|python|pip|\.ci/|npm|pulumi", commands)


def test_python_programs_in_the_steps_run_in_a_checkout() -> None:
    programs = [
        program
        for path in WORKFLOWS
        for program in re.findall(r"python -c '([^']*)'", path.read_text(encoding="utf-8"))
    ]
    assert programs
    for program in programs:
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


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
