"""The comment on a pull request about what it would change in the stack."""

import runpy
from typing import Any

import pytest
import yaml

from ops.checkout import ROOT

PROGRAM = runpy.run_path(str(ROOT / ".github/preview_diff.py"))


def _preview(**resources: dict[str, Any]) -> dict[str, Any]:
    urn = "urn:pulumi:preview::frontier::frontier:infra:Proxy$docker:index/container:Container::"
    steps = [
        {"op": "create", "newState": {"urn": urn + name, "inputs": inputs}}
        for name, inputs in resources.items()
    ]
    return {"steps": steps}


def _compared(base: dict[str, Any], head: dict[str, Any]) -> str:
    text: str = PROGRAM["markdown"](PROGRAM["planned"](base), PROGRAM["planned"](head))
    return text


def test_the_same_plan_in_another_order_is_not_a_change() -> None:
    one, two = {"memory": 1}, {"memory": 2}
    assert "No resource changes" in _compared(_preview(a=one, b=two), _preview(b=two, a=one))


def test_new_gone_and_changed_resources_are_distinguished() -> None:
    text = _compared(
        _preview(kept={"memory": 1}, removed={}, edited={"memory": 1}),
        _preview(kept={"memory": 1}, added={}, edited={"memory": 2}),
    )
    assert "docker:index/container:Container edited: changed" in text
    assert "Container removed: removed" in text
    assert "Container added: added" in text
    assert "kept" not in text
    assert "-memory: 1\n+memory: 2" in text


def test_files_are_compared_by_line_and_json_by_value() -> None:
    text = _compared(
        _preview(a={"rules": "one\ntwo\n", "json": '{"a": 1, "b": 2}'}),
        _preview(a={"rules": "one\nthree\n", "json": '{"a": 1, "b": 3}'}),
    )
    assert "-- two\n+- three" in text
    assert "-  b: 2\n+  b: 3" in text


def test_a_long_comparison_is_shortened_to_the_length_of_a_comment() -> None:
    text = _compared(_preview(), _preview(a={"long": f"{46 * 'x'}\n" * 2_000}))
    assert len(text) < 65_536
    assert text.endswith("\n```\n\n</details>\n\nShortened.\n")


@pytest.mark.parametrize("padding", range(1, 61))
def test_a_shortened_comparison_is_well_formed_wherever_it_is_cut(padding: int) -> None:
    # In the comment each line has 50 characters, and 300 are left for what follows them.
    count = (PROGRAM["COMMENT_LIMIT"] - 300) // 50
    first = {"long": f"{46 * 'x'}\n" * count + padding * "y"}
    lines = _compared(
        _preview(), _preview(a=first, b={"memory": 1, "long": "x\n" * 99})
    ).splitlines()
    assert lines[-1] == "Shortened."
    assert lines.count("```") == lines.count("```diff")
    assert lines.count("</details>") == len([line for line in lines if "<details>" in line])


def test_workflows_have_least_permissions_and_no_secrets() -> None:
    for file in ROOT.glob(".github/workflows/*.yml"):
        text = file.read_text(encoding="utf-8")
        assert yaml.safe_load(text)["permissions"] in ({}, {"contents": "read"}), file.name
        assert "secrets." not in text, file.name


def test_only_the_job_that_runs_no_proposed_code_may_comment() -> None:
    text = (ROOT / ".github/workflows/preview.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    writers = {name for name, job in jobs.items() if "write" in job["permissions"].values()}
    assert writers == {"comment"}
    assert not [step for step in jobs["comment"]["steps"] if "checkout" in step.get("uses", "")]
    assert "pull_request_target" not in text
