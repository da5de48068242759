"""Bodies in both directions, as values: details that are too small to test over HTTP."""

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from embedded_engine.errors import (
    FailedRequestError,
    RefusedRequestError,
    RequestError,
    UnreadableRequestError,
)
from embedded_engine.wire.bodies import RAW_ROLE, read_chat, read_completion
from embedded_engine.wire.limits import within_limits
from embedded_engine.wire.requests import chat_arguments, completion_arguments
from embedded_engine.wire.responses import (
    Transcript,
    chat_body,
    chat_chunk,
    error_event,
    event,
    models_body,
)


def chat(**fields: object) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": "hi"}]} | fields
    return chat_arguments(read_chat(json.dumps(body).encode()), {})


def completion(**fields: object) -> dict[str, Any]:
    body = {"prompt": "hi"} | fields
    return completion_arguments(read_completion(json.dumps(body).encode()), {})


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def assistant(content: object, *calls: tuple[str, object]) -> dict[str, Any]:
    made = [{"function": {"name": name, "arguments": arguments}} for name, arguments in calls]
    return {"role": "assistant", "content": content, "tool_calls": made}


SAMPLING = {
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40,
    "min_p": 0.05,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "repetition_penalty": 1.1,
    "dry_multiplier": 0.8,
    "ignore_eos": True,
    "truncate_sequence": True,
}


@pytest.mark.parametrize("arguments", [chat, completion])
def test_sampling_parameters_pass_under_their_own_names(arguments: Any) -> None:  # noqa: ANN401
    assert SAMPLING.items() <= arguments(**SAMPLING).items()


def test_what_is_not_given_or_null_is_left_to_the_wheel() -> None:
    nulls = dict.fromkeys([*SAMPLING, "stop", "tools", "response_format", "stream", "logprobs"])
    assert chat(**nulls) == chat() == {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("stop", "expected"), [("a", ["a"]), (["a", "b"], ["a", "b"]), ([], None), (None, None)]
)
def test_stop_is_one_string_or_several(stop: object, expected: object) -> None:
    assert chat(stop=stop).get("stop_seqs") == expected


SAMPLING_OF_MODEL = {"temperature": 0.7, "top_p": 0.9}


def test_the_models_sampling_is_used_if_the_request_has_none() -> None:
    arguments = chat_arguments(read_chat(b'{"messages": "hi"}'), SAMPLING_OF_MODEL)
    assert SAMPLING_OF_MODEL.items() <= arguments.items()
    arguments = completion_arguments(read_completion(b'{"prompt": "hi"}'), SAMPLING_OF_MODEL)
    assert SAMPLING_OF_MODEL.items() <= arguments.items()


def test_a_requests_temperature_is_used_even_if_it_is_zero() -> None:
    request = read_chat(b'{"messages": "hi", "temperature": 0}')
    arguments = chat_arguments(request, SAMPLING_OF_MODEL)
    assert (arguments["temperature"], arguments["top_p"]) == (0, 0.9)


def test_messages_may_be_one_string() -> None:
    assert chat(messages="hi")["messages"] == [{"role": "user", "content": "hi"}]


def test_parts_that_are_all_text_become_one_string() -> None:
    """Templates that take only strings would fail on them."""
    parts = [{"type": "text", "text": "One, "}, {"type": "text", "text": "two"}]
    assert chat(messages=[{"role": "user", "content": parts}])["messages"][0]["content"] == (
        "One, two"
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (assistant(None), ""),
        (assistant("", ("f", '{"a": "é"}')), '{"name": "f", "arguments": {"a": "é"}}'),
        (assistant("Well:", ("f", {})), 'Well:\n{"name": "f", "arguments": {}}'),
        (
            assistant(None, ("f", "{}"), ("g", "not json")),
            '{"name": "f", "arguments": {}}\n{"name": "g", "arguments": "not json"}',
        ),
    ],
    ids=["no content", "a call", "text and a call", "two calls"],
)
def test_earlier_tool_calls_are_written_into_the_content(
    message: dict[str, Any], expected: str
) -> None:
    assert chat(messages=[message])["messages"][0]["content"] == expected


def test_tools_may_be_called_by_default() -> None:
    arguments = chat(tools=[tool("f"), tool("g")])
    assert [json.loads(schema) for schema in arguments["tool_schemas"]] == [tool("f"), tool("g")]
    assert arguments["tool_choice"] == "auto"
    assert chat(tools=[tool("f")], tool_choice="none")["tool_choice"] == "none"


def test_a_named_tool_is_the_only_one_offered() -> None:
    arguments = chat(tools=[tool("f"), tool("g")], tool_choice=tool("g"))
    assert [json.loads(schema) for schema in arguments["tool_schemas"]] == [tool("g")]


def test_allowed_tools_are_the_only_ones_offered() -> None:
    """Nested as in chat completions, or flat as in the real server."""
    named = [{"type": "function", "name": "h"}, {"type": "function", "name": "f"}]
    allowed = {"mode": "auto", "tools": named}
    for extra in ({"allowed_tools": allowed}, allowed):
        arguments = chat(
            tools=[tool("f"), tool("g"), tool("h")], tool_choice={"type": "allowed_tools"} | extra
        )
        offered = [json.loads(schema) for schema in arguments["tool_schemas"]]
        assert offered == [tool("h"), tool("f")]
        assert "grammar" not in arguments


@pytest.mark.parametrize(
    ("strict", "parameters", "expected"),
    [
        (None, None, {"type": "object", "properties": {}, "additionalProperties": False}),
        (
            None,
            {"type": "object", "properties": {"a": {"pattern": "(?=x)"}, "b": {"pattern": "x"}}},
            {
                "type": "object",
                "properties": {"a": {}, "b": {"pattern": "x"}},
                "additionalProperties": False,
            },
        ),
        (
            None,
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {"type": "object", "additionalProperties": {"type": "integer"}},
        ),
        (None, {"anyOf": [{"type": "object"}]}, {"anyOf": [{"type": "object"}]}),
    ],
    ids=["none", "patterns", "open", "combined"],
)
def test_a_forced_calls_arguments_follow_the_parameters(
    strict: object, parameters: object, expected: dict[str, Any]
) -> None:
    function = {"name": "f", "parameters": parameters, "strict": strict}
    arguments = chat(tools=[{"type": "function", "function": function}], tool_choice="required")
    schema = json.loads(arguments["grammar"])["grammars"][1]["json_schema"]
    assert schema.pop("x-guidance") == {"lenient": True, "whitespace_flexible": False}
    assert schema == expected


def test_a_strict_tools_parameters_are_used_as_they_are() -> None:
    parameters = {"type": "object", "properties": {"a": {"pattern": "(?=x)"}}}
    function = {"name": "f", "parameters": parameters, "strict": True}
    arguments = chat(tools=[{"type": "function", "function": function}], tool_choice="required")
    assert json.loads(arguments["grammar"])["grammars"][1]["json_schema"] == parameters


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [tool("f")], "tool_choice": "required"},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
    ],
    ids=["required", "json_object", "json_schema"],
)
def test_what_has_to_follow_a_grammar_is_not_thought_about_first(fields: dict[str, Any]) -> None:
    """A thought would have to follow it, too."""
    arguments = chat(reasoning_effort="high", enable_thinking=True, **fields)
    assert arguments["enable_thinking"] is False
    assert "reasoning_effort" not in arguments


def test_an_earlier_call_may_have_its_old_name() -> None:
    message = {"role": "assistant", "content": None, "function_call": {"name": "f"}}
    assert chat(messages=[message])["messages"][0]["content"] == '{"name": "f", "arguments": {}}'


def test_an_earlier_refusal_is_the_content() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I won't."}
    assert chat(messages=[message])["messages"][0]["content"] == "I won't."


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_completion_tokens": 5}, 5),
        ({"max_completion_tokens": 5, "max_tokens": None}, 5),
        ({"max_completion_tokens": 5, "max_tokens": 5}, 5),
    ],
)
def test_the_limit_has_two_names(fields: dict[str, Any], expected: int) -> None:
    assert chat(**fields)["max_tokens"] == expected


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ],
)
def test_what_the_model_cannot_read_is_refused(part: dict[str, Any]) -> None:
    """It is a 400 that says so, wherever in the conversation the part is."""
    content = [{"type": "text", "text": "What is this?"}, part]
    messages = [{"role": "user", "content": content}, {"role": "user", "content": "Well?"}]
    with pytest.raises(RefusedRequestError, match="only text") as refused:
        chat(messages=messages)
    assert refused.value.status == 400


def test_null_asks_for_one_choice() -> None:
    """OpenAI's API allows it for ``n``."""
    assert read_chat(b'{"messages": "hi", "n": null}').choices == 1
    assert read_completion(b'{"prompt": "hi", "n": 3}').choices == 3


def test_two_limits_contradict_each_other() -> None:
    with pytest.raises(RefusedRequestError, match="max_completion_tokens"):
        chat(max_completion_tokens=5, max_tokens=6)


@pytest.mark.parametrize("greedy", [{"temperature": 0}, {"top_k": 1, "temperature": 1}])
def test_a_seed_changes_nothing_without_randomness(greedy: dict[str, Any]) -> None:
    assert "seed" not in chat(seed=7, **greedy)
    with pytest.raises(RefusedRequestError, match="seed"):
        chat(seed=7)


def test_naming_a_tool_that_is_not_there_is_refused() -> None:
    with pytest.raises(RefusedRequestError, match="'h'"):
        chat(tools=[tool("f")], tool_choice=tool("h"))


def test_a_schema_becomes_a_grammar() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    arguments = chat(response_format=wanted)
    assert arguments["grammar_type"] == "json_schema"
    assert json.loads(arguments["grammar"]) == {"type": "object"}


def test_a_schema_and_a_grammar_contradict_each_other() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
    with pytest.raises(RefusedRequestError, match="not both"):
        chat(response_format=wanted, grammar={"type": "regex", "value": "a"})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"enable_thinking": True}, {"enable_thinking": True}),
        ({"chat_template_kwargs": {"enable_thinking": False}}, {"enable_thinking": False}),
        (
            {"enable_thinking": False, "chat_template_kwargs": {"enable_thinking": True}},
            {"enable_thinking": False},
        ),
        ({"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        ({"chat_template_kwargs": {"reasoning_effort": "low"}}, {"reasoning_effort": "low"}),
    ],
    ids=str,
)
def test_thinking_is_controlled_directly_or_through_the_template(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    arguments = chat(**fields)
    del arguments["messages"]
    assert arguments == expected


@pytest.mark.parametrize(
    ("max_tokens", "context_length", "expected"),
    [(7, 8, 7), (8, 8, None), (2**63 - 1, 8, None), (8, None, 8), (None, 8, None)],
)
def test_a_reply_that_the_context_ends_first_has_no_limit_of_its_own(
    max_tokens: int | None, context_length: int | None, expected: int | None
) -> None:
    arguments = within_limits(completion(max_tokens=max_tokens), context_length)
    assert arguments.get("max_tokens") == expected


@pytest.mark.parametrize(("length", "fits"), [(8 * 128, True), (9 * 128, False)])
def test_a_prompt_that_cannot_fit_is_refused_without_the_engine(length: int, *, fits: bool) -> None:
    with nullcontext() if fits else pytest.raises(RefusedRequestError, match="greater than 8"):
        within_limits(completion(prompt="x" * length), 8)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "maxItems": 10_001},
        {"anyOf": [{"type": "array", "minItems": 5_000, "maxItems": 5_001}]},
        {"minItems": -(10**9), "maxItems": 10_001},
        {"description": "x" * 65_536},
        {"anyOf": [{"const": [-(2**63)]}]},
        {"enum": [1, {"a": -(2**63) + 512}]},
        {"allOf": [{"type": "integer", "minimum": -1e30}, {"maximum": -1e20}]},
    ],
    ids=["one", "sum", "negative", "long", "deadly", "deadly when rounded", "deadly bounds"],
)
def test_a_grammar_that_would_stop_the_engine_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(RefusedRequestError, match="Invalid grammar"):
        within_limits(chat(grammar={"type": "json_schema", "value": schema}), 8192)


@pytest.mark.parametrize(
    "schema",
    [{"type": "integer", "minimum": -(2**63), "maximum": 5}, {"const": -(2**63) + 513}],
    ids=["a lower bound", "above it"],
)
def test_the_lowest_numbers_are_left_to_the_engine(schema: dict[str, Any]) -> None:
    grammar = {"type": "json_schema", "value": schema}

    assert "grammar" in within_limits(chat(grammar=grammar), 8192)


def test_a_completion_is_one_message_in_the_raw_role() -> None:
    assert completion(logprobs=2) == {
        "messages": [{"role": RAW_ROLE, "content": "hi"}],
        "logprobs": True,
        "top_logprobs": 2,
    }


def test_chat_requests_cannot_use_the_raw_role() -> None:
    with pytest.raises(RefusedRequestError, match="reserved"):
        chat(messages=[{"role": RAW_ROLE, "content": "x"}])


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"{", 400), (b"[]", 422), (b"{}", 422), (b'{"messages": 1}', 422)],
)
def test_unreadable_bodies(body: bytes, status: int) -> None:
    with pytest.raises(UnreadableRequestError) as caught:
        read_chat(body)
    assert caught.value.status == status


def usage(completion_tokens: int) -> SimpleNamespace:
    return SimpleNamespace(
        completion_tokens=completion_tokens,
        prompt_tokens=10,
        total_tokens=10 + completion_tokens,
        avg_tok_per_sec=1.0,
        avg_prompt_tok_per_sec=float("nan"),
        avg_compl_tok_per_sec=1.0,
        total_time_sec=1.0,
        total_prompt_time_sec=1.0,
        total_completion_time_sec=1.0,
    )


def chunk(content: str | None = None, *, reason: str | None = None, **delta: object) -> Any:  # noqa: ANN401
    fields = {"content": content, "tool_calls": None, "reasoning_content": None} | delta
    choice = SimpleNamespace(finish_reason=reason, delta=SimpleNamespace(**fields), logprobs=None)
    return SimpleNamespace(
        id="7",
        choices=[choice],
        created=1,
        system_fingerprint="local",
        usage=usage(3) if reason else None,
    )


def call() -> SimpleNamespace:
    function = SimpleNamespace(name="f", arguments="{}")
    return SimpleNamespace(index=0, id="call-1", function=function)


def transcript(*chunks: Any) -> Transcript:  # noqa: ANN401
    made = Transcript()
    for one in chunks:
        made.add(one)
    return made


def test_reasoning_is_left_out_if_there_is_none() -> None:
    plain = chat_chunk(chunk("x"), model_id="m", index=0)["choices"][0]["delta"]
    thought = chat_chunk(chunk("x", reasoning_content="hm"), model_id="m", index=0)
    assert plain == {"content": "x", "role": "assistant", "tool_calls": None}
    assert thought["choices"][0]["delta"]["reasoning_content"] == "hm"


def test_a_reply_joins_its_chunks() -> None:
    body = chat_body(
        [
            transcript(
                chunk(reasoning_content="h"),
                chunk("a", reasoning_content="m"),
                chunk(None),
                chunk("b", reason="stop"),
            )
        ],
        model_id="m",
    )
    assert body["choices"][0]["message"] == {
        "content": "ab",
        "role": "assistant",
        "tool_calls": None,
        "reasoning_content": "hm",
    }
    assert body["choices"][0]["finish_reason"] == "stop"


def test_tool_calls_arrive_whole_and_without_content() -> None:
    body = chat_body([transcript(chunk(tool_calls=[call()], reason="tool_calls"))], model_id="m")
    message = body["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        {
            "index": 0,
            "id": "call-1",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
        }
    ]


def test_a_reply_without_text_has_empty_content() -> None:
    body = chat_body([transcript(chunk("", reason="stop"))], model_id="m")
    assert body["choices"][0]["message"]["content"] == ""


def test_usage_counts_the_prompt_once_and_all_completions() -> None:
    choices = [transcript(chunk("a", reason="stop")), transcript(chunk("b", reason="stop"))]
    counted = chat_body(choices, model_id="m")["usage"]
    assert (counted["prompt_tokens"], counted["completion_tokens"]) == (10, 6)
    assert counted["total_tokens"] == 16


def test_a_rate_that_is_not_a_number_becomes_null() -> None:
    data = event(chat_chunk(chunk("a", reason="stop"), model_id="m", index=0))
    assert json.loads(data.removeprefix(b"data: "))["usage"]["avg_prompt_tok_per_sec"] is None


def test_events_are_one_line_of_data_each() -> None:
    assert event({"text": "two\nlines \u2028"}).count(b"\n") == 2


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RefusedRequestError("too long"), "invalid_request_error"),
        (FailedRequestError("too long"), "server_error"),
    ],
)
def test_an_error_event_says_whose_fault_it_is(error: RequestError, kind: str) -> None:
    expected = {"message": "too long", "type": kind, "param": None, "code": None}
    assert json.loads(error_event(error).removeprefix(b"data: ")) == {"error": expected}


def test_models_has_the_alias_and_the_model() -> None:
    assert [entry["id"] for entry in models_body("m", created=1)["data"]] == ["default", "m"]


def test_models_has_the_models_own_sampling_and_says_that_it_is_on_the_cpu() -> None:
    alias, model = models_body("m", created=1, parameters={"temperature": 0.2})["data"]
    assert (model["parameters"], model["size_vram"]) == ({"temperature": 0.2}, 0)
    assert "parameters" not in alias
