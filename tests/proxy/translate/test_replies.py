"""The engine's replies, translated into Ollama's."""

from typing import Any

import pytest

from proxy_service.clock import Moment
from proxy_service.errors import EngineProtocolError
from proxy_service.translate.replies import (
    to_ollama_chat,
    to_ollama_counts,
    to_ollama_tool_calls,
)

AT = Moment("2026-01-02T03:04:05.000006Z", 5)


def test_counts_are_whole_nanoseconds() -> None:
    counts = to_ollama_counts(
        {"completion_tokens": 3, "total_completion_time_sec": 0.0, "total_prompt_time_sec": 0.013},
        at=AT,
        load_ns=7,
    )

    assert counts == {
        "total_duration": 5,
        "load_duration": 7,
        "prompt_eval_count": 0,
        "prompt_eval_duration": 13_000_000,
        "eval_count": 3,
        "eval_duration": 1,
    }


@pytest.mark.parametrize("arguments", ["{", "[]", "1"])
def test_tool_arguments_that_are_not_an_object_are_a_protocol_error(arguments: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    reply: Any = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}

    with pytest.raises(EngineProtocolError):
        to_ollama_chat(reply, model="m", at=AT, load_ns=0, top_logprobs=0)


def test_very_many_tool_calls_are_a_protocol_error() -> None:
    assert len(to_ollama_tool_calls([{}] * 1000)) == 1000
    with pytest.raises(EngineProtocolError, match="more than 1000 tool calls"):
        to_ollama_tool_calls([{}] * 1001)
