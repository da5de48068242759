"""JSON as the proxy writes it."""

import json

import pytest
from hypothesis import given

from proxy_service.wire.writing import to_json, to_json_in_steps
from tests.proxy.json_values import VALUES


def same(left: object, right: object) -> bool:
    """Return whether two values are equal, types, order of keys and sign of zero included."""
    return repr(left) == repr(right)


@given(VALUES)
def test_json_reads_like_that_of_the_standard_library(value: object) -> None:
    """Except that NaN and infinities become null, which every decoder accepts."""
    expected = json.loads(json.dumps(value), parse_constant=lambda _: None)

    assert same(json.loads(to_json(value)), expected)


@given(VALUES)
def test_steps_write_the_same(value: object) -> None:
    assert to_json_in_steps(value) == to_json(value)


@pytest.mark.parametrize("character", ["a", '"', "\\", "é", "\x00", "\U0001f600", "\ud800"])
@pytest.mark.parametrize("begin", ["", "a"])
def test_steps_write_long_texts_as_they_are(character: str, begin: str) -> None:
    value = {"a": [begin + character * 2_000_000, {"b": "c"}], "d": {}}

    assert to_json_in_steps(value) == to_json(value)
