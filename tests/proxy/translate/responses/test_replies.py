"""Whole chat completions as responses of OpenAI's Responses API."""

import json
from dataclasses import replace
from typing import Any

import pytest

from proxy_service.errors import EngineProtocolError, EngineUnavailable, InvalidRequest
from proxy_service.translate.replies import read_completion
from proxy_service.translate.responses.replies import Frame, error_of, repeated, to_response
from proxy_service.translate.responses.tools import Tools
from proxy_service.wire.responses import read_request

FUNCTION = {"type": "function", "name": "f", "parameters": {}}
TOOLS = [
    FUNCTION,
    {"type": "namespace", "name": "ns", "tools": [FUNCTION]},
    {"type": "custom", "name": "patch"},
]


def frame(**fields: object) -> Frame:
    sent = {"input": "hi", "tools": TOOLS} | fields
    tools = Tools(read_request(sent)).names()
    return Frame(sent=repeated(sent), tools=tools, model="m", key="k", created_at=5)


def call(name: str, arguments: str = "{}", call_id: str | None = "c") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def response(finish: str = "stop", of: Frame | None = None, **source: object) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant"} | source}
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    body = json.dumps({"choices": [choice], "usage": usage}).encode()
    return to_response(read_completion(body, model="m"), of or frame())


def test_a_reply_is_a_response() -> None:
    made = response(content="hello", reasoning_content="hm", tool_calls=[call("f")])

    assert made["output"] == [
        {
            "id": "rs_k_0",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
        },
        {
            "id": "msg_k_1",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "hello", "annotations": [], "logprobs": []}
            ],
        },
        {
            "id": "fc_k_2",
            "type": "function_call",
            "status": "completed",
            "call_id": "c",
            "name": "f",
            "arguments": "{}",
        },
    ]
    assert (made["id"], made["object"], made["status"]) == ("resp_k", "response", "completed")
    assert (made["model"], made["created_at"], made["store"]) == ("m", 5, False)
    assert made["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 7,
    }


def test_what_the_client_asked_for_is_repeated() -> None:
    sent = {
        "instructions": "be brief",
        "max_output_tokens": 9,
        "metadata": {"a": "b"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "temperature": 0.5,
        "text": {"format": {"type": "json_object"}},
        "tool_choice": "required",
        "tools": [FUNCTION],
        "top_p": 0.9,
        "truncation": "auto",
    }

    assert sent.items() <= response(of=frame(**sent), content="x").items()


def test_thoughts_are_also_sent_as_encrypted_if_that_is_asked_for() -> None:
    asked = replace(frame(), encrypted=True)
    (thoughts,) = response(of=asked, content=None, reasoning_content="hm")["output"]

    assert thoughts["encrypted_content"] == "hm"


def test_a_reply_that_the_limit_cut_is_incomplete() -> None:
    made = response("length", content="x")

    assert (made["status"], made["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )
    assert made["output"][0]["status"] == "incomplete"


def test_calls_have_the_names_that_the_client_knows() -> None:
    made = response(
        content=None,
        tool_calls=[call("ns.f", '{"a":1}'), call("patch", '{"input":"x\\n"}'), call("other")],
    )["output"]

    assert (made[0]["name"], made[0]["namespace"], made[0]["arguments"]) == ("f", "ns", '{"a":1}')
    assert (made[1]["type"], made[1]["name"], made[1]["input"]) == (
        "custom_tool_call",
        "patch",
        "x\n",
    )
    assert (made[2]["type"], made[2]["name"]) == ("function_call", "other")


def test_a_call_without_an_id_gets_one() -> None:
    made = response(content=None, tool_calls=[call("f", call_id=None)] * 2)["output"]

    assert len({item["call_id"] for item in made}) == 2


def test_arguments_of_a_custom_tool_that_are_not_an_object_are_the_engines_fault() -> None:
    with pytest.raises(EngineProtocolError, match="arguments"):
        response(content=None, tool_calls=[call("patch", "[]")])


def test_an_error_says_whose_fault_it_is() -> None:
    assert error_of(InvalidRequest("no")) == {"code": "invalid_prompt", "message": "no"}
    assert error_of(EngineUnavailable("no"))["code"] == "server_error"
