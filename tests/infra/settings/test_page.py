"""``docs/settings.md`` says what ``Pulumi.yaml`` says, with a group and an example for each."""

import re
import shlex
from typing import Any

import yaml

from infra.settings.page import GROUPS, PAGE, command, page
from ops.checkout import ROOT

TEXT = (ROOT / "Pulumi.yaml").read_text(encoding="utf-8")
PROJECT: dict[str, Any] = yaml.safe_load(TEXT)
DECLARED: dict[str, dict[str, str]] = PROJECT["config"]
EXAMPLES = {name: value for group in GROUPS.values() for name, value in group.items()}


def test_the_page_is_the_one_that_make_render_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(PROJECT), "run `make render` and commit it"


def test_every_setting_is_in_exactly_one_group_in_the_order_of_pulumi_yaml() -> None:
    assert [name for group in GROUPS.values() for name in group] == list(DECLARED)


def test_pulumi_yaml_has_the_groups_as_headings() -> None:
    assert re.findall(r"(?m)^\n  # (.+)\n  (\w+):$", TEXT) == [
        (group, next(iter(settings))) for group, settings in GROUPS.items()
    ]


def test_every_setting_has_a_row_with_its_default_meaning_and_example() -> None:
    rows = [line.split(" | ") for line in page(PROJECT).splitlines() if line.startswith("| `")]
    assert len(rows) == len(DECLARED)
    for (name, default, meaning, example), setting in zip(rows, DECLARED, strict=True):
        assert name == f"| `{setting}`"
        assert default.strip("`") == (DECLARED[setting]["default"] or "none")
        assert meaning == " ".join(DECLARED[setting]["description"].split())
        assert example.startswith("`pulumi config set ")


def test_all_but_secrets_have_an_example_of_their_value() -> None:
    secrets = {name for name in DECLARED if DECLARED[name]["description"].startswith("Secret: ")}
    assert {name for name, value in EXAMPLES.items() if value is None} == secrets


def test_the_example_of_an_engine_image_has_the_version_of_the_default() -> None:
    example, default = EXAMPLES["mistralrsImage"], DECLARED["mistralrsImage"]["default"]
    assert example is not None
    assert example.rpartition("-")[2] == default.rpartition("-")[2]


def test_a_command_is_quoted_for_the_shell_and_contains_no_secret() -> None:
    value = '{"a": 1}'
    assert shlex.split(command("x", value)) == ["pulumi", "config", "set", "x", value]
    assert command("apiKey", None) == "pulumi config set --secret apiKey"


def test_a_bar_does_not_end_a_cell() -> None:
    declared = {name: {"default": "a|b", "description": "c|d"} for name in DECLARED}
    row = page({"config": declared}).splitlines()
    assert r"| `engine` | `a\|b` | c\|d |" in "\n".join(row)
