"""Translation, case by case: dicts in, dicts out, no server."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.clock import Moment
from proxy_service.errors import (
    Dialect,
    EngineProtocolError,
    EngineRejected,
    EngineUnavailable,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    ProxyError,
    error_body,
)
from proxy_service.streaming.passthrough import PassthroughStream
from proxy_service.translate.context import decode_turns, encode_turns
from proxy_service.translate.embeddings import shorten, vectors_of
from proxy_service.translate.engine_errors import from_event, from_reply
from proxy_service.translate.messages import image_url, to_engine_messages
from proxy_service.translate.models.listing import EngineModel, from_model_list
from proxy_service.translate.models.lookup import NameTable
from proxy_service.translate.models.names import with_tag
from proxy_service.translate.options import to_sampling, unknown_options
from proxy_service.translate.replies import to_ollama_chat, to_ollama_counts
from proxy_service.translate.requests import to_engine_chat
from proxy_service.wire.ollama import Message, ToolCall, parse_chat, parse_keep_alive
from proxy_service.wire.reading import parse_object
from tests.proxy.scripted_engine import DONE, USAGE, chunk, event

CHAT_FIELDS = (
    *("model", "messages", "stream", "options", "format", "think", "tools", "role", "content"),
    *("images", "tool_calls", "function", "arguments", "keep_alive", "logprobs", "top_logprobs"),
)
AT = Moment("2026-01-02T03:04:05.000006Z", 5)


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
def test_an_option_of_the_wrong_type_is_a_500_as_with_ollama(
    options: dict[str, object], kind: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"must be of type {kind}") as raised:
        to_sampling(options)

    assert raised.value.status == 500


def test_only_keys_that_no_ollama_had_are_unknown() -> None:
    assert unknown_options({"seed": 1, "mirostat": 1, "made_up": 1}) == ["made_up"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (5, 5),
        (0, 0),
        (-1, float("inf")),
        ("0", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("-1m", float("inf")),
        ("100ms", 0.1),
    ],
)
def test_keep_alive_is_seconds(value: object, seconds: float | None) -> None:
    assert parse_keep_alive(value) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("value", ["", "m", "5 m", "5x", "1m5", True, [], {}])
def test_other_keep_alives_are_refused(value: object) -> None:
    with pytest.raises(InvalidRequest):
        parse_keep_alive(value)


def test_tool_results_find_their_calls_by_id_name_or_order() -> None:
    calls = tuple(ToolCall(i, n, {}) for i, n in (("1", "f"), ("", "g"), ("3", "f")))
    results = (
        Message("tool", "by id", tool_call_id="3"),
        Message("tool", "by name", tool_name="g"),
        Message("tool", "by order"),
        Message("tool", "left over", tool_name="h"),
    )
    translated = to_engine_messages((Message("assistant", "", tool_calls=calls), *results))

    ids = [call["id"] for call in translated[0]["tool_calls"]]  # type: ignore[attr-defined]
    assert [m["tool_call_id"] for m in translated[1:]] == ["3", ids[1], "1", "h"]
    assert [m["name"] for m in translated[1:]] == ["f", "g", "f", "h"]
    assert len(set(ids)) == 3


def test_thinking_goes_back_as_reasoning() -> None:
    (message,) = to_engine_messages((Message("assistant", "a", thinking="b"),))

    assert message == {"role": "assistant", "content": "a", "reasoning_content": "b"}


@pytest.mark.parametrize("message", [Message("alien", "x"), Message("system", "x", images=("a",))])
def test_messages_that_the_engine_would_choke_on_are_refused(message: Message) -> None:
    with pytest.raises(InvalidRequest):
        to_engine_messages((message,))


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ("/9j/4AAQ", "data:image/jpeg;base64,/9j/4AAQ"),
        ("UklGRg==", "data:image/webp;base64,UklGRg=="),
        ("AAAA", "data:image/png;base64,AAAA"),
        ("AA\r\nAA\n", "data:image/png;base64,AAAA"),
        ("data:image/gif;base64,R0lG", "data:image/gif;base64,R0lG"),
    ],
)
def test_images_are_data_urls(image: str, url: str) -> None:
    assert image_url(image) == url


@pytest.mark.parametrize("image", ["/9j/4", "not base64", "https://example.com/a.png", "data:,A"])
def test_an_image_that_is_not_base64_is_the_clients_error(image: str) -> None:
    with pytest.raises(InvalidRequest):
        image_url(image)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Org/Model", "Org/Model"),
        ("org/model:LATEST", "Org/Model"),
        ("nick", "Org/Model"),
        ("nick:latest", "Org/Model"),
        ("tagged:7b", "tagged:7b"),
        ("tagged", None),
        ("default", None),
        ("", None),
    ],
)
def test_names_match_as_ollamas_do(name: str, found: str | None) -> None:
    models = (EngineModel("Org/Model"), EngineModel("tagged:7b"))
    table = NameTable(models, {"Nick": "org/model", "lost": "nowhere"})
    model = table.find(name)

    assert (model.id if model else None) == found


def test_the_engines_default_is_a_name_while_there_is_no_choice() -> None:
    """OpenAI's clients find it in the engine's own list."""
    model = EngineModel("only")

    assert NameTable((model,), {}).find("default") is model


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["/models/tiny.gguf"], ["tiny.gguf"]),
        (["C:\\models\\tiny"], ["tiny"]),
        (["Qwen/Qwen3-4B"], ["Qwen/Qwen3-4B"]),
        (["/a/tiny", "/b/Tiny", "/b/other"], ["/a/tiny", "/b/Tiny", "other"]),
        (["/a/tiny", "tiny"], ["/a/tiny", "tiny"]),
        (["/"], ["/"]),
    ],
)
def test_a_model_that_is_a_path_goes_by_its_last_part(ids: list[str], names: list[str]) -> None:
    """A Mistral.rs that was started on a folder lists the folder; clients never see it."""
    listed: list[Any] = [{"id": engine_id} for engine_id in ["default", *ids]]
    models = from_model_list({"data": listed})
    table = NameTable(models, {})

    expected = dict(zip(ids, names, strict=True))
    assert {model.id: model.name for model in models} == expected
    assert {model.id: table.find(model.id) for model in models} == {m.id: m for m in models}
    assert {model.id: table.find(f"{model.name}:latest") for model in models} == {
        m.id: m for m in models
    }


@pytest.mark.parametrize(
    ("name", "tagged"),
    [
        ("m", "m:latest"),
        ("m:7b", "m:7b"),
        ("host:80/m", "host:80/m:latest"),
        ("/a/b", "/a/b:latest"),
    ],
)
def test_listed_names_carry_a_tag(name: str, tagged: str) -> None:
    assert with_tag(name) == tagged


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text()), max_size=5))
def test_turns_survive_the_context(turns: list[tuple[str, str]]) -> None:
    assert decode_turns(tuple(encode_turns(turns))) == turns


@given(st.lists(st.integers(min_value=-(2**40), max_value=2**40), max_size=20))
def test_any_other_context_is_no_turns(numbers: list[int]) -> None:
    assert decode_turns(tuple(numbers)) == []
    assert decode_turns((0x7EC0DE, *numbers)) == []


def test_a_context_that_is_nested_without_end_is_no_turns() -> None:
    """Anyone can write the mark, and behind it what a decoder would run out of stack with."""
    mark, *_ = encode_turns([])

    assert decode_turns((mark, *[int.from_bytes(b"[[[")] * 5000)) == []


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
def test_arguments_that_are_no_object_are_the_engines_fault(arguments: str) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    reply: Any = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}

    with pytest.raises(EngineProtocolError):
        to_ollama_chat(reply, model="m", at=AT, load_ns=0, top_logprobs=0)


@pytest.mark.parametrize(
    ("status", "body", "kind", "client_status"),
    [
        (500, {"message": "Requested model 'x' is not available."}, ModelNotFound, 404),
        (422, {"message": "Requested model 'x' is not available."}, ModelNotFound, 404),
        (500, {"message": "max_tokens must be at least 1."}, EngineRejected, 400),
        (422, {"message": "Prompt sequence length is greater than 9"}, EngineRejected, 400),
        (500, {"message": "model `x` is being reloaded"}, EngineUnavailable, 503),
        (500, {"message": "EnginePoisoned"}, EngineUnavailable, 503),
        (500, {"message": "boom", "partial_response": {}}, EngineRejected, 500),
        (500, {"error": {"message": "boom"}}, EngineRejected, 500),
        (503, {"message": "busy"}, EngineRejected, 503),
        (429, {"message": "slow down"}, EngineRejected, 429),
        (413, "request body too large", EngineRejected, 413),
        (422, "Failed to deserialize", EngineRejected, 400),
        (415, "Expected application/json", InternalError, 500),
        (302, "", EngineProtocolError, 502),
        (400, "bad", EngineRejected, 400),
        (401, {"message": "no key"}, EngineProtocolError, 502),
        (403, "", EngineProtocolError, 502),
        (404, {"message": "not here"}, EngineProtocolError, 502),
        (405, "", EngineProtocolError, 502),
        (408, "", EngineProtocolError, 502),
        (502, "", EngineRejected, 502),
        (504, "", EngineRejected, 504),
        (500, {"message": "no kernel image is available"}, EngineRejected, 500),
        (500, {"message": "the KV cache has no schema"}, EngineRejected, 500),
        (500, {"message": "Invalid grammar: x"}, EngineRejected, 400),
        (500, "<html>", EngineRejected, 500),
    ],
)
def test_the_engines_errors_become_ours(
    status: int, body: object, kind: type[ProxyError], client_status: int
) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    error = from_reply(status, raw, model="asked")

    assert type(error) is kind
    assert error.status == client_status
    assert "<html>" not in error.message


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"1", b"<html>", b"", b'{"error":5}'])
def test_an_event_that_says_nothing_is_a_protocol_error(payload: bytes) -> None:
    assert type(from_event(payload, model="m")) in (EngineProtocolError, EngineRejected)


def test_errors_take_the_shape_of_the_api_that_was_called() -> None:
    error = ModelNotFound("gone")

    assert json.loads(error_body(error, Dialect.OLLAMA)) == {"error": "gone"}
    assert json.loads(error_body(error, Dialect.OPENAI)) == {
        "error": {"message": "gone", "type": "not_found_error", "param": None, "code": None}
    }
    assert json.loads(error_body(error, Dialect.ANTHROPIC)) == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "gone"},
    }


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (b'{"A":1}', {"a": 1}),
        (b'{"A":1,"a":2}', {"a": 2}),
        (b'{"a":2,"A":1}', {"a": 1}),
        (b'{"a":2,"a":1}', {"a": 1}),
        (b' \n{"a":1} trailing', {"a": 1}),
        (b"null", {}),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        (b'{"a":"\\ud83d"}', {"a": "\ufffd"}),
        (b'{"a":["\\ud83d\\ude00"]}', {"a": ["\N{GRINNING FACE}"]}),
    ],
)
def test_bodies_are_read_as_gos_decoder_reads_them(body: bytes, parsed: dict[str, object]) -> None:
    assert parse_object(body, "X") == parsed


@pytest.mark.parametrize("number", ["1e999", "-1e999", "Infinity", "-Infinity", "NaN"])
def test_numbers_that_json_has_not_are_refused(number: str) -> None:
    """They would leave as words that the engine can't read."""
    with pytest.raises(InvalidRequest):
        parse_object(f'{{"a":{number}}}'.encode(), "X")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_refusal(body: bytes) -> None:
    """Never another exception."""
    with suppress(InvalidRequest):
        parse_chat(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(CHAT_FIELDS),
                inner,
                max_size=6,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_is_a_request_or_a_refusal(value: object) -> None:
    """Wrong types in every field; what passes is JSON for the engine."""
    with suppress(InvalidRequest):
        request = parse_chat(json.dumps(value).encode())
        json.dumps(to_engine_chat(request, engine_id="m"), allow_nan=False)


@pytest.mark.parametrize(("dimensions", "length"), [(0, 4), (2, 2), (9, 4), (-1, 4)])
def test_vectors_are_cut_and_scaled(dimensions: int, length: int) -> None:
    vector = shorten([3.0, 4.0, 0.0, 0.0], dimensions)

    assert len(vector) == length
    assert sum(x * x for x in vector) == pytest.approx(1)


def test_a_vector_of_zeros_stays_one() -> None:
    assert shorten([0.0, 0.0], 0) == [0.0, 0.0]


def test_a_missing_vector_is_the_engines_fault() -> None:
    with pytest.raises(EngineProtocolError):
        vectors_of({"data": [], "usage": {}}, expected=1)


def test_what_passes_through_is_counted_and_unchanged() -> None:
    stream = PassthroughStream(model="m")
    body = b"".join(
        [
            b": keep-alive\n\n",
            chunk(""),
            chunk("a"),
            chunk("b", finish="stop", usage=USAGE),
            event({"choices": [], "usage": USAGE}),
            DONE,
        ]
    )
    batches = [stream.feed(body[i : i + 7]) for i in range(0, len(body), 7)]

    assert b"".join(batch.data for batch in batches) == body
    assert sum(batch.chunks for batch in batches) == 2
    assert sum(batch.deltas for batch in batches) == 2
    assert stream.close().error is None
    assert stream.tokens == 18
    assert stream.finish_reason == "stop"


def test_only_deltas_of_other_apis_are_content() -> None:
    """As `/v1/responses` was seen to stream: the whole text comes again at the end."""
    whole = {"output": [{"content": [{"type": "output_text", "text": "ab"}]}]}
    events = [
        ("response.created", {"response": {"output": []}}),
        ("response.content_part.added", {"part": {"text": ""}}),
        ("response.output_text.delta", {"delta": "a"}),
        ("response.output_text.delta", {"delta": "b"}),
        ("response.content_part.done", {"part": {"text": "ab"}}),
        ("response.completed", {"response": whole | {"usage": {"output_tokens": 2}}}),
    ]
    body = b"".join(f"event: {n}\n".encode() + event({"type": n} | v) for n, v in events)
    stream = PassthroughStream(model="m")
    batch = stream.feed(body)

    assert (batch.chunks, batch.deltas) == (2, 2)
    assert batch.data == body
    assert stream.tokens == 2


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("message_stop", {"input_tokens": 3, "output_tokens": 4}),
        ("response.completed", {"input_tokens": 3, "output_tokens": 4}),
    ],
)
def test_streams_of_other_apis_end_with_their_own_event(
    name: str, usage: dict[str, object]
) -> None:
    stream = PassthroughStream(model="m")
    body: dict[str, object] = {"type": name, "usage": usage}
    if name.startswith("response"):
        body = {"type": name, "response": {"usage": usage}}
    stream.feed(f"event: {name}\n".encode() + event(body))

    assert stream.close().error is None
    assert stream.usage == {"prompt_tokens": 3, "completion_tokens": 4}
