"""Requests of Anthropic's Messages API as chat completions."""

from typing import Any

import pytest

from proxy_service.errors import InvalidRequest, ProxyError, UnsupportedFeature
from proxy_service.translate.anthropic.requests import to_engine_chat
from proxy_service.translate.models.model import EngineModel
from proxy_service.wire.anthropic import read_messages

MODEL = EngineModel(id="org/Model", name="model", created=0)
USER = {"role": "user", "content": "hi"}
PIXEL = "iVBORw0KGgo="
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
IMAGE_PART = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
TOOL = {"name": "f", "description": "does f", "input_schema": {"type": "object"}}


def translated(**fields: object) -> dict[str, Any]:
    body: dict[str, Any] = {"max_tokens": 9, "messages": [USER]}
    return to_engine_chat(read_messages(body | fields), MODEL)


def messages(*sent: dict[str, Any], **fields: object) -> Any:  # noqa: ANN401
    return translated(messages=[*sent], **fields)["messages"]


def user(*blocks: object) -> dict[str, Any]:
    return {"role": "user", "content": [*blocks]}


def assistant(*blocks: object) -> dict[str, Any]:
    return {"role": "assistant", "content": [*blocks]}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words, "cache_control": {"type": "ephemeral"}}


def test_a_request_without_options_gets_none() -> None:
    assert translated() == {
        "model": "org/Model",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
        "max_tokens": 9,
    }


def test_sampling_has_the_engines_names() -> None:
    body = translated(temperature=0, top_p=0.5, top_k=3, stop_sequences=["a", ""], stream=True)

    sampling = {name: body[name] for name in ("temperature", "top_p", "top_k", "stop", "stream")}
    assert sampling == {"temperature": 0, "top_p": 0.5, "top_k": 3, "stop": ["a"], "stream": True}


@pytest.mark.parametrize("system", ["a\nb", [text("a"), text("b")]])
def test_the_system_prompt_is_text_or_blocks(system: object) -> None:
    assert messages(USER, system=system)[0] == {"role": "system", "content": "a\nb"}


def test_instructions_in_the_middle_become_text_of_the_user() -> None:
    """Claude Code sends some after the first message of the user."""
    assert messages(USER, {"role": "system", "content": "be brief"}) == [
        {"role": "user", "content": "hi\nbe brief"}
    ]


def test_a_turn_with_tools_keeps_thoughts_calls_and_results() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": "é"}}
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [text("x"), text("y")]}

    assert messages(USER, assistant(thinking, text("well"), call), user(text("and?"), result)) == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "well",
            "reasoning_content": "hm",
            "tool_calls": [
                {
                    "id": "t1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a": "\\u00e9"}'},
                }
            ],
        },
        {"role": "tool", "content": "x\ny", "tool_call_id": "t1", "name": "f"},
        {"role": "user", "content": "and?"},
    ]


@pytest.mark.parametrize(
    ("content", "is_error", "expected"),
    [
        ("x", None, "x"),
        ("x", False, "x"),
        ("x", True, "Error: x"),
        (None, None, ""),
        ([], None, ""),
    ],
)
def test_a_result_is_text(content: object, is_error: object, expected: str) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": is_error}

    assert messages(user(result))[0]["content"] == expected


def test_images_become_parts_and_leave_results() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}

    assert messages(user(result, text("see?"), IMAGE)) == [
        {"role": "tool", "content": "", "tool_call_id": "t"},
        {
            "role": "user",
            "content": [IMAGE_PART, {"type": "text", "text": "see?"}, IMAGE_PART],
        },
    ]


def test_an_image_may_be_a_url() -> None:
    """A data URL, or any other if the operator allows that; the route has checked it."""
    for url in (f"data:image/png;base64,{PIXEL}", "http://example.org/a.png"):
        image = {"type": "image", "source": {"type": "url", "url": url}}
        assert messages(user(image))[0]["content"] == [
            {"type": "image_url", "image_url": {"url": url}}
        ]


def test_documents_and_search_results_become_text() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "once upon a time"}
    document = {"type": "document", "title": "A tale", "source": source}
    found = {"type": "search_result", "title": "T", "source": {}, "content": [{"text": "x"}]}

    assert messages(user(document, {**document, "title": None}, found))[0]["content"] == (
        'A tale\nonce upon a time\nonce upon a time\n["T", [{"text": "x"}]]'
    )


def test_what_anthropics_servers_did_earlier_is_kept_as_far_as_it_is_text() -> None:
    history = assistant(
        {"type": "redacted_thinking", "data": "?"},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
        text("found"),
    )

    assert messages(USER, history)[1] == {"role": "assistant", "content": "found"}


def test_tools_become_functions() -> None:
    body = translated(tools=[TOOL, {"type": "custom", "name": "g", "strict": True}])

    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "parameters": {"type": "object"}, "description": "does f"},
        },
        {"type": "function", "function": {"name": "g", "parameters": {}, "strict": True}},
    ]
    assert "tool_choice" not in body


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            {
                "tool_choice": {"type": "function", "function": {"name": "f"}},
                "parallel_tool_calls": False,
            },
        ),
    ],
    ids=["auto", "any", "none", "tool"],
)
def test_a_tool_choice_has_the_engines_form(choice: object, expected: dict[str, Any]) -> None:
    assert expected.items() <= translated(tools=[TOOL], tool_choice=choice).items()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"enable_thinking": True}),
        ({"thinking": {"type": "adaptive"}}, {"enable_thinking": True}),
        ({"thinking": {"type": "disabled"}}, {"enable_thinking": False}),
        ({"output_config": {"effort": "max"}}, {"reasoning_effort": "xhigh"}),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            {"reasoning_effort": "low"},
        ),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
            {"enable_thinking": False},
        ),
    ],
    ids=str,
)
def test_thinking_is_controlled_by_one_field(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    body = translated(**fields)

    controls = {
        name: body[name] for name in ("enable_thinking", "reasoning_effort") if name in body
    }
    assert controls == expected


@pytest.mark.parametrize("where", ["output_config", "output_format"])
def test_a_schema_is_passed_as_it_is(where: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    wanted = {"type": "json_schema", "schema": schema}
    body = translated(**{where: {"format": wanted} if where == "output_config" else wanted})

    assert body["response_format"]["json_schema"]["schema"] == schema


def test_what_does_not_concern_the_reply_is_ignored() -> None:
    """Claude Code sends the first two."""
    extra = {
        "metadata": {"user_id": "u"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "service_tier": "auto",
    }

    assert translated(**extra) == translated()


@pytest.mark.parametrize(
    ("fields", "fault", "named"),
    [
        ({"max_tokens": None}, InvalidRequest, "max_tokens"),
        ({"max_tokens": 0}, InvalidRequest, "max_tokens"),
        ({"messages": []}, InvalidRequest, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, InvalidRequest, "role"),
        ({"messages": [{"role": "user", "content": 5}]}, InvalidRequest, "content"),
        ({"system": [IMAGE]}, InvalidRequest, "system"),
        ({"stop_sequences": ["x"] * 129}, InvalidRequest, "stop_sequences"),
        ({"top_k": -1}, InvalidRequest, "top_k"),
        ({"tools": [{"input_schema": {}}]}, InvalidRequest, "name"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, UnsupportedFeature, "bash_2025"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, InvalidRequest, "tool_choice"),
        ({"output_config": {"effort": "huge"}}, InvalidRequest, "effort"),
        ({"mcp_servers": [{"url": "x"}]}, UnsupportedFeature, "MCP"),
        ({"messages": [user({"type": "tool_result"})]}, InvalidRequest, "tool_use_id"),
        ({"messages": [assistant({"type": "tool_use", "id": "1"})]}, InvalidRequest, "tool_use"),
        ({"messages": [assistant({"type": "hologram"})]}, UnsupportedFeature, "hologram"),
        ({"messages": [user({"type": "hologram"})]}, UnsupportedFeature, "hologram"),
        (
            {"messages": [user({"type": "tool_result", "tool_use_id": "1", "content": 5})]},
            InvalidRequest,
            "tool_result",
        ),
        (
            {"messages": [user({"type": "image", "source": {"type": "base64", "data": "?"}})]},
            InvalidRequest,
            "base64",
        ),
        (
            {"messages": [user({"type": "image", "source": {"type": "file"}})]},
            UnsupportedFeature,
            "base64",
        ),
        (
            {"messages": [user({"type": "document", "source": {"type": "base64", "data": "AA"}})]},
            UnsupportedFeature,
            "documents",
        ),
        ({"messages": [user(*[IMAGE] * 1001)]}, InvalidRequest, "images"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else None,
)
def test_what_cannot_be_translated_is_refused_by_its_name(
    fields: dict[str, Any], fault: type[ProxyError], named: str
) -> None:
    with pytest.raises(fault, match=named):
        translated(**fields)
