"""Whole chat completions as messages of Anthropic's API."""

import json
from typing import Any

import pytest

from proxy_service.errors import EngineProtocolError
from proxy_service.translate.anthropic.replies import to_message
from proxy_service.translate.replies import read_completion

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def message(finish: str = "stop", **source: object) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant"} | source}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    body = json.dumps({"choices": [choice], "usage": usage}).encode()
    return to_message(read_completion(body, model="m"), message_id="msg_1", model="m")


def test_a_reply_is_a_message() -> None:
    assert message(content="hello", reasoning_content="hm", tool_calls=[CALL]) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "hello"},
            {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }


@pytest.mark.parametrize(
    ("finish", "expected"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("other", "end_turn")],
)
def test_the_reason_has_anthropics_name(finish: str, expected: str) -> None:
    assert message(finish, content="x")["stop_reason"] == expected


def test_a_reply_without_text_has_no_content() -> None:
    assert message(content="")["content"] == []


def test_a_call_without_an_id_gets_one() -> None:
    call = {"function": {"name": "f", "arguments": ""}}
    made = message(content=None, tool_calls=[call, call])["content"]

    assert [block["input"] for block in made] == [{}, {}]
    assert len({block["id"] for block in made}) == 2


@pytest.mark.parametrize("arguments", ["{", "[]"])
def test_arguments_that_are_not_an_object_are_the_engines_fault(arguments: str) -> None:
    call = CALL | {"function": {"name": "f", "arguments": arguments}}
    with pytest.raises(EngineProtocolError, match="arguments"):
        message(content=None, tool_calls=[call])
