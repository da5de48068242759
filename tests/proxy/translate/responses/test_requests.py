"""Requests of OpenAI's Responses API as chat completions."""

from typing import Any

import pytest

from proxy_service.errors import InvalidRequest, ProxyError, UnsupportedFeature
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.responses.requests import to_engine_chat
from proxy_service.translate.responses.tools import Tools
from proxy_service.wire.responses import read_request

MODEL = EngineModel(id="org/Model", name="model", created=0)
PIXEL = "data:image/png;base64,iVBORw0KGgo="
IMAGE = {"type": "input_image", "detail": "auto", "image_url": PIXEL}
IMAGE_PART = {"type": "image_url", "image_url": {"url": PIXEL}}
FUNCTION = {"type": "function", "name": "f", "description": "does f", "parameters": {"a": 1}}
PATCH = {
    "type": "custom",
    "name": "patch",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}
NAMESPACE = {"type": "namespace", "name": "ns", "tools": [FUNCTION]}


def translated(**fields: object) -> dict[str, Any]:
    request = read_request({"input": "hi"} | fields)
    return to_engine_chat(request, Tools(request), MODEL)


def messages(*items: dict[str, Any], **fields: object) -> Any:  # noqa: ANN401
    return translated(input=[*items], **fields)["messages"]


def message(role: str, *parts: object) -> dict[str, Any]:
    return {"type": "message", "id": "m", "role": role, "content": [*parts]}


def text(words: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": kind, "text": words}


def test_a_request_without_options_gets_none() -> None:
    assert translated() == {
        "model": "org/Model",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
    }


def test_sampling_has_the_engines_names() -> None:
    body = translated(max_output_tokens=7, temperature=0, top_p=0.5, truncation="auto", stream=True)
    expected = {
        "max_tokens": 7,
        "temperature": 0,
        "top_p": 0.5,
        "truncate_sequence": True,
        "stream": True,
    }

    assert expected.items() <= body.items()
    assert "truncate_sequence" not in translated(truncation="disabled")


def test_instructions_and_developers_come_first() -> None:
    """Codex sends several messages with the role developer, and then several of the user."""
    sent = [
        message("developer", text("b"), text("c")),
        message("developer", text("d")),
        {"role": "user", "content": "e"},
        message("user", text("f")),
    ]

    assert messages(*sent, instructions="a") == [
        {"role": "system", "content": "a\nb\nc\nd"},
        {"role": "user", "content": "e\nf"},
    ]


def test_a_turn_with_tools_keeps_thoughts_calls_and_results() -> None:
    summary = [{"type": "summary_text", "text": "hm"}]
    sent = [
        message("user", text("hi")),
        {"type": "reasoning", "id": "r", "summary": summary, "encrypted_content": "?"},
        message("assistant", text("well", "output_text")),
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call", "call_id": "2", "name": "f", "namespace": "ns", "arguments": ""},
        {"type": "function_call_output", "call_id": "1", "output": "x"},
        {"type": "function_call_output", "call_id": "2", "output": [text("y"), IMAGE]},
        {"type": "web_search_call", "id": "w"},
        message("user", text("and?")),
    ]

    assert messages(*sent) == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "well",
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "2", "type": "function", "function": {"name": "ns.f", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "content": "x", "tool_call_id": "1", "name": "f"},
        {"role": "tool", "content": "y", "tool_call_id": "2", "name": "ns.f"},
        {"role": "user", "content": [IMAGE_PART, {"type": "text", "text": "and?"}]},
    ]


def test_a_call_of_a_custom_tool_has_its_text_as_an_argument() -> None:
    call = {"type": "custom_tool_call", "call_id": "1", "name": "patch", "input": "a\nb"}
    output = {"type": "custom_tool_call_output", "call_id": "1", "output": "done"}
    made, result = messages(call, output)

    assert made["tool_calls"][0]["function"] == {
        "name": "patch",
        "arguments": '{"input": "a\\nb"}',
    }
    assert result["content"] == "done"


def test_images_and_refusals_are_parts() -> None:
    refusal = message("assistant", {"type": "refusal", "refusal": "no"})

    assert messages(message("user", IMAGE), refusal) == [
        {"role": "user", "content": [IMAGE_PART]},
        {"role": "assistant", "content": "no"},
    ]
    assert messages(message("user", IMAGE | {"image_url": "http://example.org/a"}))[0]["content"]


def test_tools_become_functions() -> None:
    tools = translated(tools=[FUNCTION, PATCH, NAMESPACE, {"type": "web_search"}])["tools"]
    functions = [tool["function"] for tool in tools]

    assert functions[0] == {"name": "f", "description": "does f", "parameters": {"a": 1}}
    assert functions[1]["parameters"]["properties"]["input"]["description"].endswith('start: "x"')
    assert functions[2] == functions[0] | {"name": "ns.f"}
    assert {tool["type"] for tool in tools} == {"function"}
    assert len(tools) == 3


def test_a_strict_tool_stays_strict() -> None:
    (tool,) = translated(tools=[FUNCTION | {"strict": True}])["tools"]

    assert tool["function"]["strict"] is True


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ("none", "none"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "custom", "name": "patch"}, {"type": "function", "function": {"name": "patch"}}),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [FUNCTION]},
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "f"}],
            },
        ),
    ],
    ids=["auto", "required", "none", "function", "custom", "allowed"],
)
def test_a_tool_choice_has_the_engines_form(choice: object, expected: object) -> None:
    body = translated(tools=[FUNCTION, PATCH], tool_choice=choice, parallel_tool_calls=False)

    assert body["tool_choice"] == expected
    assert body["parallel_tool_calls"] is False


def test_without_tools_nothing_is_said_about_them() -> None:
    assert translated(tools=[], tool_choice="auto", parallel_tool_calls=True) == translated()


@pytest.mark.parametrize(
    ("effort", "expected"),
    [
        (None, {}),
        ("none", {"enable_thinking": False}),
        ("minimal", {"reasoning_effort": "low"}),
        ("high", {"reasoning_effort": "high"}),
        ("xhigh", {"reasoning_effort": "xhigh"}),
    ],
)
def test_effort_controls_thinking(effort: object, expected: dict[str, Any]) -> None:
    assert translated(reasoning={"effort": effort, "summary": "auto"}) == translated() | expected


def test_a_format_becomes_a_response_format() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}

    assert translated(text={"format": wanted})["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": schema},
    }
    json_object = {"type": "json_object"}
    assert translated(text={"format": json_object})["response_format"] == json_object
    assert translated(text={"format": {"type": "text"}, "verbosity": "low"}) == translated()


def test_what_does_not_concern_the_reply_is_ignored() -> None:
    """Codex sends most of it."""
    extra = {
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k",
        "client_metadata": {"a": "b"},
        "metadata": {},
        "service_tier": "auto",
        "previous_response_id": None,
        "background": False,
    }

    assert translated(**extra) == translated()


@pytest.mark.parametrize(
    ("fields", "fault", "named"),
    [
        ({"input": ""}, InvalidRequest, "input"),
        ({"input": []}, InvalidRequest, "input"),
        ({"input": 5}, InvalidRequest, "input"),
        ({"max_output_tokens": 0}, InvalidRequest, "max_output_tokens"),
        ({"previous_response_id": "resp_1"}, UnsupportedFeature, "previous_response_id"),
        ({"conversation": "c"}, UnsupportedFeature, "conversation"),
        ({"background": True}, UnsupportedFeature, "background"),
        ({"prompt": {"id": "p"}}, UnsupportedFeature, "prompt"),
        ({"top_logprobs": 2}, UnsupportedFeature, "top_logprobs"),
        ({"reasoning": {"effort": "huge"}}, InvalidRequest, "reasoning.effort"),
        ({"text": {"format": {"type": "json_schema"}}}, InvalidRequest, "text.format"),
        ({"tools": [{"type": "function"}]}, InvalidRequest, "name"),
        ({"tools": [{"type": "code_interpreter"}]}, UnsupportedFeature, "code_interpreter"),
        (
            {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}},
            InvalidRequest,
            "'g'",
        ),
        (
            {"tools": [FUNCTION], "tool_choice": {"type": "web_search"}},
            UnsupportedFeature,
            "web_search",
        ),
        ({"input": [{"type": "item_reference", "id": "x"}]}, UnsupportedFeature, "item_reference"),
        ({"input": [{"type": "function_call", "name": "f"}]}, InvalidRequest, "call_id"),
        ({"input": [{"type": "function_call_output", "output": ""}]}, InvalidRequest, "call_id"),
        ({"input": [message("tool", text("x"))]}, InvalidRequest, "'tool'"),
        ({"input": [message("assistant", IMAGE)]}, InvalidRequest, "images"),
        ({"input": [message("user", {"type": "input_file"})]}, UnsupportedFeature, "input_file"),
        (
            {"input": [message("user", IMAGE | {"image_url": "data:image/png;base64,?"})]},
            InvalidRequest,
            "base64",
        ),
        ({"input": [message("user", *[IMAGE] * 1001)]}, InvalidRequest, "images"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else None,
)
def test_what_cannot_be_translated_is_refused_by_its_name(
    fields: dict[str, Any], fault: type[ProxyError], named: str
) -> None:
    with pytest.raises(fault, match=named):
        translated(**fields)


@pytest.mark.parametrize("kind", ["custom", "namespace"])
def test_names_that_would_be_repeated_too_often_are_refused(kind: str) -> None:
    """Each name has its namespace in it, so that 100 KB could become a gigabyte."""
    functions = [{"type": "function", "name": f"f{number}"} for number in range(100)]
    tools: list[dict[str, Any]] = (
        [{"type": "custom", "name": f"t{number}"} for number in range(10_000)]
        if kind == "custom"
        else [{"type": "namespace", "name": "n" * 1000, "tools": functions}]
    )
    with pytest.raises(InvalidRequest, match="more than 65536 bytes"):
        translated(input="x", tools=tools)
