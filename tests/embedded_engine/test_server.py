"""The real engine over HTTP, on a tiny model: what a client of the Mistral.rs server expects."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.embedded_engine.client import CHAT, COMPLETIONS, Client, chat, completion
from tests.processes import TIMEOUT_SECONDS
from tests.tiny_llama import CONTEXT_LENGTH, HEADS

LONG = CONTEXT_LENGTH - 1000
TOO_LONG = "x" * (CONTEXT_LENGTH + 1)
WEATHER_TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk["choices"][0]["delta"]["content"] or "" for chunk in chunks)


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health_is_ok_as_plain_text(client: Client, path: str) -> None:
    reply = client.get(path)
    assert (reply.status, reply.text) == (200, "OK")


def test_health_accepts_head_requests(client: Client) -> None:
    assert client.head("/health").status == 200


def test_metrics_are_those_of_its_process(client: Client) -> None:
    reply = client.get("/metrics")
    families = {family.name for family in text_string_to_metric_families(reply.text)}
    assert reply.content_type.startswith("text/plain; version=0.0.4")
    assert resident_bytes(client) > 10_000_000
    assert {"process_cpu_seconds", "process_start_time_seconds"} <= families


def resident_bytes(client: Client) -> float:
    text = client.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    (memory,) = families["process_resident_memory_bytes"].samples
    return memory.value


def test_prompts_leave_nothing_in_memory(client: Client) -> None:
    """The wheel's prefix cache would keep some 250 KiB for each of them."""
    for number in range(30):
        assert client.post(CHAT, chat(f"warm-up {number}", max_tokens=2)).status == 200
    before = resident_bytes(client)
    for number in range(200):
        assert client.post(CHAT, chat(f"prompt {number}", max_tokens=2)).status == 200
    assert resident_bytes(client) - before < 16 * 1024 * 1024


def test_models_lists_the_alias_and_the_loaded_model(client: Client, tiny_llama: Path) -> None:
    default, model = client.get("/v1/models").json["data"]
    assert default["id"] == "default"
    assert "status" not in default
    assert (model["id"], model["status"]) == (str(tiny_llama), "loaded")
    assert model["max_model_len"] == CONTEXT_LENGTH
    assert model["size"] == (tiny_llama / "model.safetensors").stat().st_size
    assert (model["details"]["format"], model["details"]["family"]) == ("safetensors", "llama")
    assert model["details"]["quantization_level"] == "F32"
    assert model["model_info"]["general.architecture"] == "llama"
    assert model["model_info"]["llama.context_length"] == CONTEXT_LENGTH
    assert model["model_info"]["llama.attention.head_count_kv"] == HEADS
    assert model["model_info"]["general.parameter_count"] > 100_000
    # Without what the engine adds to it.
    assert model["template"].startswith("{{ bos_token }}{% for message in messages %}")


def test_a_chat_reply_in_one_piece_has_usage(client: Client, tiny_llama: Path) -> None:
    reply = client.post(CHAT, chat(max_tokens=7)).json
    assert reply["object"] == "chat.completion"
    assert reply["model"] == str(tiny_llama)
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["choices"][0]["message"]["role"] == "assistant"
    usage = reply["usage"]
    assert usage["completion_tokens"] == 7
    assert usage["total_tokens"] == usage["prompt_tokens"] + 7


def test_a_streamed_chat_says_the_same_as_one_in_one_piece(client: Client) -> None:
    whole = client.post(CHAT, chat()).json
    chunks = client.post(CHAT, chat(stream=True)).chunks
    assert text_of(chunks) == whole["choices"][0]["message"]["content"]


def test_a_stream_has_usage_on_its_last_chunk_only(client: Client) -> None:
    reply = client.post(CHAT, chat(stream=True, max_tokens=7))
    *earlier, last = reply.chunks
    assert reply.content_type.startswith("text/event-stream")
    assert {chunk["usage"] for chunk in earlier} == {None}
    assert {chunk["choices"][0]["finish_reason"] for chunk in earlier} == {None}
    assert last["choices"][0]["finish_reason"] == "length"
    assert last["usage"]["completion_tokens"] == 7


def test_a_completion_uses_the_prompt_as_it_is(client: Client) -> None:
    """One byte is one token here: a chat template would show in the count."""
    reply = client.post(COMPLETIONS, completion("<turn> {{ no template }}", max_tokens=3)).json
    assert reply["object"] == "text_completion"
    assert reply["usage"]["prompt_tokens"] == len(" {{ no template }}") + 1
    assert len(reply["choices"][0]["text"]) == 3


def test_a_streamed_completion_says_the_same_and_has_no_usage(client: Client) -> None:
    whole = client.post(COMPLETIONS, completion()).json
    chunks = client.post(COMPLETIONS, completion(stream=True)).chunks
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole["choices"][0]["text"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert not any("usage" in chunk for chunk in chunks)


def test_echo_puts_the_prompt_before_the_completion(client: Client) -> None:
    plain = client.post(COMPLETIONS, completion("abc")).json["choices"][0]["text"]
    echoed = client.post(COMPLETIONS, completion("abc", echo=True)).json["choices"][0]["text"]
    assert echoed == "abc" + plain


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_reply_and_stays_out_of_it(client: Client, *, stream: bool) -> None:
    text = client.post(CHAT, chat()).json["choices"][0]["message"]["content"]
    stop = text[8:11]
    body = chat(stop=[stop, "never said"], stream=stream)
    reply = client.post(CHAT, body)
    said = text_of(reply.chunks) if stream else reply.json["choices"][0]["message"]["content"]
    last = (reply.chunks[-1] if stream else reply.json)["choices"][0]
    assert said == text[: text.index(stop)]
    assert last["finish_reason"] == "stop"


def test_a_reply_follows_a_schema(client: Client) -> None:
    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    reply = client.post(CHAT, chat(max_tokens=200, response_format=wanted)).json
    assert reply["choices"][0]["message"]["content"] in ('{"ok":true}', '{"ok":false}')
    assert reply["choices"][0]["finish_reason"] == "stop"


def test_each_token_has_logprobs_with_alternatives(client: Client) -> None:
    reply = client.post(CHAT, chat(max_tokens=2, logprobs=True, top_logprobs=3)).json
    entries = reply["choices"][0]["logprobs"]["content"]
    assert [len(entry["top_logprobs"]) for entry in entries] == [3, 3]
    assert all(bytes(entry["bytes"]).decode() == entry["token"] for entry in entries)


def test_n_choices_are_numbered_and_counted_together(client: Client) -> None:
    reply = client.post(CHAT, chat(n=2, max_tokens=3)).json
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    assert reply["usage"]["completion_tokens"] == 6


def test_n_choices_can_be_streamed(client: Client) -> None:
    chunks = client.post(CHAT, chat(n=2, max_tokens=3, stream=True)).chunks
    ends = [c["choices"][0]["index"] for c in chunks if c["choices"][0]["finish_reason"]]
    assert ends == [0, 1]


def test_tools_results_and_parts_are_accepted(client: Client) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "How is the weather?"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    body = chat(messages=messages, tools=[WEATHER_TOOL], tool_choice="auto")
    assert client.post(CHAT, body).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_call_arrives_whole_and_ends_the_reply(client: Client, *, stream: bool) -> None:
    """A grammar makes the random model write what a trained one would."""
    call = r'\{"name": "weather", "arguments": \{"city": "Rome"\}\}'
    grammar = {"type": "regex", "value": call}
    body = chat(tools=[WEATHER_TOOL], grammar=grammar, max_tokens=200, stream=stream)
    reply = client.post(CHAT, body)
    choice = (reply.chunks[-1] if stream else reply.json)["choices"][0]
    (made,) = choice["delta" if stream else "message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert made["function"] == {"name": "weather", "arguments": '{"city":"Rome"}'}


def test_the_usage_of_a_stream_is_a_chunk_of_its_own_if_asked_for(client: Client) -> None:
    """As in OpenAI's API; otherwise the last chunk has it, as in the real server's."""
    wanted: dict[str, Any] = {
        "stream": True,
        "max_tokens": 7,
        "stream_options": {"include_usage": True},
    }
    for path, body in ((CHAT, chat(**wanted)), (COMPLETIONS, completion(**wanted))):
        *chunks, last = client.post(path, body).chunks
        assert {chunk["usage"] for chunk in chunks} == {None}
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"
        assert (last["choices"], last["usage"]["completion_tokens"]) == ([], 7)
        assert last["id"] == chunks[-1]["id"]


def test_the_usage_chunk_counts_all_choices(client: Client) -> None:
    body = chat(n=2, max_tokens=3, stream=True, stream_options={"include_usage": True})
    assert client.post(CHAT, body).chunks[-1]["usage"]["completion_tokens"] == 6


def test_the_limit_has_openais_newer_name_too(client: Client) -> None:
    body = chat(max_completion_tokens=3)
    del body["max_tokens"]
    assert client.post(CHAT, body).json["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize("stream", [False, True])
def test_a_reply_may_have_to_be_a_json_object(client: Client, *, stream: bool) -> None:
    body = chat(max_tokens=200, response_format={"type": "json_object"}, stream=stream)
    reply = client.post(CHAT, body)
    text = text_of(reply.chunks) if stream else reply.json["choices"][0]["message"]["content"]
    assert isinstance(json.loads(text), dict)


CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Rome", "Oslo"]},
        "unit": {"$ref": "#/$defs/Unit"},
        # What pydantic writes for a Decimal, which no grammar can express.
        "limit": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^(?!^[-+.]*$)1$"}]},
    },
    "required": ["city", "unit", "limit"],
    "$defs": {"Unit": {"enum": ["C", "F"]}},
}
FORECAST = {"type": "function", "function": {"name": 'the "forecast" für', "parameters": CITY}}
ALLOWED = {"mode": "required", "tools": [{"type": "function", "function": {"name": "weather"}}]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", {"weather", FORECAST["function"]["name"]}),  # type: ignore[index]
        ({"type": "function", "function": {"name": "weather"}}, {"weather"}),
        ({"type": "function", "name": "weather"}, {"weather"}),
        (FORECAST, {FORECAST["function"]["name"]}),  # type: ignore[index]
        ({"type": "allowed_tools", "allowed_tools": ALLOWED}, {"weather"}),
    ],
    ids=["required", "named", "named as in Responses", "quoted", "allowed"],
)
def test_a_call_can_be_forced(
    client: Client, choice: object, names: set[str], *, stream: bool
) -> None:
    """Although the model, whose weights are random, would never make one."""
    body = chat(tools=[WEATHER_TOOL, FORECAST], tool_choice=choice, max_tokens=300, stream=stream)
    reply = client.post(CHAT, body)
    made = (reply.chunks[-1] if stream else reply.json)["choices"][0]
    (call,) = made["delta" if stream else "message"]["tool_calls"]
    assert made["finish_reason"] == "tool_calls"
    assert call["function"]["name"] in names
    arguments = json.loads(call["function"]["arguments"])
    if call["function"]["name"] == "weather":
        assert arguments == {}
    else:
        assert (arguments["city"], arguments["unit"]) in product(("Rome", "Oslo"), ("C", "F"))


def test_a_forced_call_has_no_content_for_a_response_format(client: Client) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "integer"}}}
    body = chat(tools=[WEATHER_TOOL], tool_choice="required", max_tokens=200)
    body["response_format"] = wanted
    assert client.post(CHAT, body).json["choices"][0]["message"]["tool_calls"]


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_calls_can_be_switched_off(client: Client, *, stream: bool) -> None:
    """The grammar makes the model write two calls."""
    call = r'\{"name": "weather", "arguments": \{\}\}'
    grammar = {"type": "regex", "value": rf"\[{call}, {call}\]"}
    for parallel, count in ((None, 2), (True, 2), (False, 1)):
        body = chat(tools=[WEATHER_TOOL], grammar=grammar, max_tokens=200, stream=stream)
        reply = client.post(CHAT, body | {"parallel_tool_calls": parallel})
        choice = (reply.chunks[-1] if stream else reply.json)["choices"][0]
        assert len(choice["delta" if stream else "message"]["tool_calls"]) == count


def test_fields_that_change_no_reply_are_ignored(client: Client) -> None:
    harmless: dict[str, Any] = {
        "metadata": {"a": "b"},
        "modalities": ["text"],
        "prediction": {"type": "content", "content": "hello"},
        "prompt_cache_key": "k",
        "safety_identifier": "me",
        "seed": 1,  # without randomness
        "service_tier": "auto",
        "store": True,
        "stream_options": {},
        "unknown": 1,
        "user": "me",
        "verbosity": "medium",
    }
    assert client.post(CHAT, chat(**harmless)).status == 200


@pytest.mark.parametrize(
    "asked",
    [
        {"adapter": "lora"},
        {"audio": {"voice": "alloy", "format": "wav"}},
        {"modalities": ["text", "audio"]},
        {"functions": [{"name": "f"}]},
        {"function_call": {"name": "f"}},
        {"enable_shell": True},
        {"files": [{"name": "x"}]},
        {"seed": 1, "temperature": 0.5},
        {"seed": 0, "temperature": None},
        {"session_id": "s"},
        {"stream_options": {"include_obfuscation": True}},
        {"verbosity": "low"},
        {"web_search_options": {}},
    ],
    ids=lambda asked: str(asked)[:40],
)
def test_a_field_that_the_engine_cannot_do_is_a_400_that_names_it(
    client: Client, asked: dict[str, Any]
) -> None:
    reply = client.post(CHAT, chat(**asked))
    assert (reply.status, reply.json["type"]) == (400, "invalid_request_error")
    assert reply.json["message"].startswith(next(iter(asked)))


@pytest.mark.parametrize("asked", [{"best_of": 2}, {"suffix": "end"}, {"tools": [WEATHER_TOOL]}])
def test_a_field_that_completions_do_not_have_is_a_400_that_names_it(
    client: Client, asked: dict[str, Any]
) -> None:
    reply = client.post(COMPLETIONS, completion(**asked))
    assert reply.status == 400
    assert reply.json["message"].startswith(next(iter(asked)))


def test_requests_run_side_by_side(client: Client) -> None:
    """The short replies arrive while the long one is still running."""
    begun, served = Event(), Event()

    def long_ends_first() -> bool:
        # Read as it arrives: in the system's buffers, an end would go unnoticed.
        with client.streaming(CHAT, chat(stream=True, max_tokens=LONG)) as long:
            for _ in long:
                begun.set()
                if served.is_set():
                    return False
        return True

    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(long_ends_first)
        assert begun.wait(TIMEOUT_SECONDS)
        try:
            assert client.post(CHAT, chat(max_tokens=5)).status == 200
            assert client.post(COMPLETIONS, completion(max_tokens=5)).status == 200
        finally:
            served.set()
        assert not long.result()


def test_many_unstreamed_requests_all_get_their_reply(client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: client.post(CHAT, chat(max_tokens=30)), range(16)))
    assert {reply.json["usage"]["completion_tokens"] for reply in replies} == {30}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("name", ["nope", ""])
def test_an_unknown_model_is_refused_as_the_server_does(
    client: Client, path: str, name: str
) -> None:
    reply = client.post(path, {"model": name, "stream": True} | chat() | completion())
    assert reply.status == 422
    assert reply.json["message"].startswith(f"Requested model '{name}' is not available.")


def test_the_model_may_be_named_by_its_id(client: Client, tiny_llama: Path) -> None:
    assert client.post(CHAT, chat(model=str(tiny_llama))).status == 200


def test_a_body_that_is_not_json_is_400_in_plain_text(client: Client) -> None:
    reply = client.post_text(CHAT, '{"messages":')
    assert (reply.status, reply.content_type.partition(";")[0]) == (400, "text/plain")


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": "many"},
        {"max_tokens": -1},
        {"messages": None},
        {"temperature": "hot"},
        {"response_format": {"type": "xml"}},
        {"tool_choice": "sometimes"},
        {"tool_choice": {"function": "weather"}},
        {"tool_choice": {"type": "shell"}},
        {"max_completion_tokens": -1},
        {"tools": [{}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": 5}}]},
        {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": "f"}]}]},
        {"n": 0},
        {"n": 129},
        {"n": 10**9},
        {"n": 10**30},
        {"max_tokens": 2**63},
        {"top_k": -1},
        {"top_k": 10**30},
        {"top_logprobs": 21},
        {"top_logprobs": 10**9},
        {"dry_allowed_length": 10**30},
        {"temperature": 1e300},
        {"presence_penalty": -1e39},
        {"frequency_penalty": 1e300},
        {"repetition_penalty": 0},
        {"repetition_penalty": 1e-300},
        {"logit_bias": {"-1": 1}},
        {"logit_bias": {"4294967296": 1}},
        {"logit_bias": {"0": 1e300}},
        {"stop": ["x"] * 1001},
        {"dry_sequence_breakers": ["x"] * 1001},
    ],
    ids=lambda wrong: str(wrong)[:60],
)
def test_a_value_of_the_wrong_type_or_size_is_422_in_plain_text(
    client: Client, wrong: dict[str, Any]
) -> None:
    reply = client.post(CHAT, chat(**wrong))
    assert (reply.status, reply.content_type.partition(";")[0]) == (422, "text/plain")
    assert next(iter(wrong)) in reply.text


def test_another_content_type_is_415(client: Client) -> None:
    assert client.post_text(CHAT, "{}", "application/x-www-form-urlencoded").status == 415


def test_get_on_a_post_route_is_405(client: Client) -> None:
    assert client.get(CHAT).status == 405


def test_an_unknown_path_is_404(client: Client) -> None:
    assert client.get("/v1/nothing").status == 404


def test_embeddings_of_a_chat_model_are_refused(client: Client) -> None:
    reply = client.post("/v1/embeddings", {"input": "hello"})
    assert reply.status == 422
    assert "incompatible" in reply.json["message"]


def test_a_prompt_that_is_too_long_is_422(client: Client) -> None:
    reply = client.post(CHAT, chat(TOO_LONG))
    assert reply.status == 422
    assert reply.json["message"].startswith("Prompt sequence length is greater than")


def test_a_streamed_prompt_that_is_too_long_is_an_error_event(client: Client) -> None:
    reply = client.post(CHAT, chat(TOO_LONG, stream=True))
    event, done = reply.events
    error = json.loads(event)["error"]
    assert reply.status == 200
    assert error["message"].startswith("Prompt sequence length is greater than")
    assert error["type"] == "invalid_request_error"
    assert done == "[DONE]"


NESTED: Any = None
for _ in range(300):
    NESTED = {"a": NESTED}

MANY_ITEMS = json.dumps({"type": "array", "minItems": 10**9})
LARK = f"start: %json {MANY_ITEMS}"
MANY_TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": json.loads(MANY_ITEMS)},
}
DEEP_TOOL = {"type": "function", "function": {"name": "f", "parameters": NESTED}}

# The engine would overflow its stack.
LARGE_SCHEMA = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(10000)}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"reasoning_effort": "absurd"},
        {"enable_thinking": False, "reasoning_effort": "high"},
        {"grammar": {"type": "regex", "value": "("}},
        {"grammar": {"type": "json_schema", "value": "{"}},
        {"grammar": {"type": "llguidance", "value": "{"}},
        {"grammar": {"type": "json_schema", "value": {"type": "nope"}}},
        {"grammar": {"type": "json_schema", "value": NESTED}},
        {"grammar": {"type": "json_schema", "value": {"type": "array", "minItems": 10**9}}},
        {"grammar": {"type": "json_schema", "value": {"enum": [-(2**63)]}}},
        {"grammar": {"type": "json_schema", "value": {"type": "integer", "const": -1e30}}},
        {"grammar": {"type": "lark", "value": 'start: %json {"const": -9223372036854775807}'}},
        {"grammar": {"type": "regex", "value": "a{1000000000}"}},
        {"grammar": {"type": "lark", "value": 'start: "a"{1000000}'}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": LARGE_SCHEMA}}},
        {"messages": [{"role": "user", "content": "x"}] * (CONTEXT_LENGTH + 1)},
        {"messages": "x" * 10**7},
        {"messages": "x" * 10**7, "truncate_sequence": True},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": NESTED}}]},
        {"grammar": {"type": "lark", "value": 'start: %json {"type":"array","minItems":1e9}'}},
        {"grammar": {"type": "lark", "value": f"start: %json {MANY_ITEMS}"}},
        {"grammar": {"type": "llguidance", "value": {"grammars": [{"lark_grammar": LARK}]}}},
        {"tools": [WEATHER_TOOL], "tool_choice": {"function": {"name": "other"}}},
        {"tool_choice": {"function": {"name": "other"}}},
        {"tool_choice": "required"},
        {"tools": [MANY_TOOL], "tool_choice": "required"},
        {"tools": [DEEP_TOOL], "tool_choice": "required"},
        {
            "tools": [WEATHER_TOOL],
            "tool_choice": "required",
            "grammar": {"type": "regex", "value": "a"},
        },
        {"max_completion_tokens": 5},
        {"top_logprobs": 2},
    ],
    ids=lambda wrong: str(wrong)[:60],
)
def test_what_the_engine_rejects_is_422_in_one_line(client: Client, wrong: dict[str, Any]) -> None:
    """The wheel's errors have a backtrace, which clients must not see."""
    reply = client.post(CHAT, chat(**wrong))
    assert reply.status == 422
    assert "\n" not in reply.json["message"]


def test_a_truncated_prompt_has_room_however_long_the_reply_may_be(client: Client) -> None:
    body = chat(TOO_LONG, truncate_sequence=True, max_tokens=10**9, stream=True)
    with client.streaming(CHAT, body) as response:
        # Reading such a prompt can take so long that comments come first.
        event = next(line for line in response if line.startswith(b"data: "))
    assert json.loads(event.removeprefix(b"data: "))["object"] == "chat.completion.chunk"


def test_the_request_id_is_echoed(client: Client) -> None:
    with client.streaming(CHAT, chat(max_tokens=1)) as response:
        assert response.getheader("x-request-id")
