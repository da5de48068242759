"""Settings are declared once more in ``Pulumi.yaml``, with their defaults and descriptions."""

import __future__

import dataclasses
import sys
from pathlib import Path
from types import ModuleType

import pytest

from infra.settings import schema
from infra.settings.schema import SETTING_NAMES, SETTING_TYPES, THRESHOLD_NAMES
from infra.settings.types import Secret
from tests.infra.settings.loading import DECLARED


def test_pulumi_yaml_declares_every_setting_and_no_other_in_the_same_order() -> None:
    assert list(DECLARED) == list(SETTING_NAMES)


def test_every_setting_has_a_type_a_default_and_a_description() -> None:
    for name, declaration in DECLARED.items():
        assert {"type", "default", "description"} <= declaration.keys(), name


def test_all_are_strings_so_that_the_cli_can_set_them_and_leaves_checks_to_the_program() -> None:
    """`pulumi config set` stores text, and refuses it for a setting of another type."""
    assert {item["type"] for item in DECLARED.values()} == {"string"}
    assert {type(item["default"]) for item in DECLARED.values()} == {str}


def test_secrets_are_described_as_such() -> None:
    for name, field in SETTING_NAMES.items():
        is_secret = SETTING_TYPES[field] is Secret
        assert DECLARED[name]["description"].startswith("Secret: ") is is_secret, name


def test_types_are_the_same_where_annotations_are_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after ``from __future__ import annotations``, and in a later Python's own way."""
    name = "schema_with_string_annotations"
    program = compile(
        Path(schema.__file__).read_text(encoding="utf-8"),
        schema.__file__,
        "exec",
        flags=__future__.annotations.compiler_flag,
    )
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(program, module.__dict__)  # noqa: S102 - our own source
    assert {item.type for item in dataclasses.fields(module.Settings)} > {"str", "int", "Secret"}
    assert module.SETTING_TYPES == SETTING_TYPES
    assert module.THRESHOLD_NAMES == THRESHOLD_NAMES


def test_every_plain_threshold_is_a_setting() -> None:
    assert "highErrorRatio" in THRESHOLD_NAMES
    assert "timing" not in THRESHOLD_NAMES
