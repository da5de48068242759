"""Ollama's options as sampling parameters of the engine."""

import pytest

from proxy_service.errors import InvalidRequest
from proxy_service.translate.options import (
    MAX_STOP_CHARACTERS,
    MAX_STOP_STRINGS,
    to_sampling,
    unknown_options,
)


@pytest.mark.parametrize(
    ("options", "sampling"),
    [
        ({"num_predict": 5}, {"max_tokens": 5}),
        ({"num_predict": 0}, {}),
        ({"num_predict": -2}, {}),
        ({"num_predict": 5.0}, {"max_tokens": 5}),
        ({"num_predict": 10**30}, {}),
        ({"temperature": -1}, {"temperature": 0}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
        ({"top_k": -1}, {}),
        ({"top_k": 40}, {"top_k": 40}),
        ({"top_p": 0}, {}),
        ({"top_p": 1}, {"top_p": 1}),
        ({"min_p": 2}, {}),
        ({"repeat_penalty": 0}, {}),
        ({"presence_penalty": 9}, {"presence_penalty": 2}),
        ({"stop": []}, {}),
        ({"stop": ["", "a"]}, {"stop": ["a"]}),
        ({"temperature": None}, {}),
        ({"seed": 1, "num_ctx": 2, "use_mmap": True, "made_up": 1}, {}),
    ],
)
def test_options_become_sampling_parameters(
    options: dict[str, object], sampling: dict[str, object]
) -> None:
    assert to_sampling(options) == sampling


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"temperature": "1"}, "float32"),
        ({"temperature": True}, "float32"),
        ({"top_k": []}, "integer"),
        ({"use_mmap": 1}, "boolean"),
        ({"stop": 1}, "array"),
        ({"stop": [1]}, "array"),
    ],
)
def test_an_option_of_the_wrong_type_is_a_500_as_in_ollama(
    options: dict[str, object], kind: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"must be of type {kind}") as raised:
        to_sampling(options)

    assert raised.value.status == 500


def test_only_keys_that_ollama_never_had_are_unknown() -> None:
    assert unknown_options({"seed": 1, "mirostat": 1, "made_up": 1}) == ["made_up"]


@pytest.mark.parametrize(
    "stops",
    [
        ["x"] * (MAX_STOP_STRINGS + 1),
        [""] * (MAX_STOP_STRINGS + 1),
        ["x" * (MAX_STOP_CHARACTERS + 1)],
        ["x" * (MAX_STOP_CHARACTERS // 2), "y" * (MAX_STOP_CHARACTERS // 2 + 1)],
        "x" * (MAX_STOP_CHARACTERS + 1),
    ],
)
def test_too_many_stop_strings_are_refused(stops: object) -> None:
    with pytest.raises(InvalidRequest, match="128 strings, of together at most 8192") as refusal:
        to_sampling({"stop": stops})
    assert refusal.value.status == 400


def test_as_many_stop_strings_as_allowed_are_sent() -> None:
    length = MAX_STOP_CHARACTERS // MAX_STOP_STRINGS
    stops = [f"{number:0{length}}" for number in range(MAX_STOP_STRINGS)]

    assert to_sampling({"stop": stops}) == {"stop": stops}
