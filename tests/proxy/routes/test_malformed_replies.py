"""Malformed replies of the engine, which must never become an internal error."""

import json
from collections.abc import Iterator

import pytest

from tests.fuzz.target import FuzzTarget
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    Reply,
    completion,
    delta_event,
    event,
    json_reply,
    stream,
)

DEEP = "[" * 900 + "]" * 900
PATHS = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/v1/chat/completions")


def reply_of(**changes: object) -> Reply:
    """Return a whole chat completion with some fields changed."""
    choice = {"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
    return json_reply({"choices": [choice], "usage": USAGE} | changes)


def text_reply(text: str) -> Reply:
    return Reply((text.encode("utf-8", "surrogatepass"),), length=True)


def delta(content: object, finish: object = None, **others: object) -> bytes:
    return event({"choices": [{"delta": {"content": content}, "finish_reason": finish}], **others})


def logprob(number: str) -> str:
    """Return a completion with one logprob."""
    entry = f'{{"token":"a","logprob":{number},"bytes":[97],"top_logprobs":[]}}'
    return (
        f'{{"choices":[{{"message":{{"content":"a"}},"delta":{{"content":"a"}},'
        f'"logprobs":{{"content":[{entry}]}},"finish_reason":"stop"}}]}}'
    )


REPLIES = {
    "content is a number": completion(content=5),  # type: ignore[arg-type]
    "content is an object": completion(content={"a": 1}),  # type: ignore[arg-type]
    "thinking is a number": completion(reasoning_content=5),
    "thinking is an object": completion(reasoning={"effort": "low"}),
    "usage is a string": reply_of(usage="x"),
    "counts are invalid": reply_of(usage={"prompt_tokens": -5, "completion_tokens": "x"}),
    "counts are huge": reply_of(usage={"prompt_tokens": 10**400, "completion_tokens": 10**30}),
    "times are huge": reply_of(usage={"total_prompt_time_sec": 1e308, "completion_tokens": 1}),
    "the finish is a list": completion(finish=["a"]),  # type: ignore[arg-type]
    "choices are an object": reply_of(choices={"a": 1}),
    "choices are a string": reply_of(choices="abc"),
    "a choice is null": reply_of(choices=[None]),
    "a logprob is NaN": text_reply(logprob("NaN")),
    "a logprob is beyond a double": text_reply(logprob("-1e999")),
    "logprobs are numbers": reply_of(choices=[{"message": {"content": "x"}, "logprobs": [1, 2]}]),
    "the reply is deep": text_reply(DEEP),
    "arguments are deep": completion(tool_calls=[{"function": {"name": "f", "arguments": DEEP}}]),
    "arguments are an object": completion(tool_calls=[{"function": {"arguments": {"a": 1}}}]),
    "calls are a string": completion(tool_calls="x"),
    "a vector has strings": json_reply({"data": [{"index": 0, "embedding": ["a"]}]}),
    "a vector is huge": json_reply({"data": [{"index": 0, "embedding": [1e308, 10**400]}]}),
    "a vector has NaN": text_reply('{"data":[{"index":0,"embedding":[NaN,1e999]}]}'),
    "a vector has no index": json_reply({"data": [{"index": "x", "embedding": [1]}], "usage": "x"}),
    "a delta is a number": stream(delta(5), DONE),
    "streamed counts are invalid": stream(delta("a", "stop", usage={"prompt_tokens": "x"}), DONE),
    "streamed counts are huge": stream(delta("a", "stop", usage={"prompt_tokens": 10**99}), DONE),
    "the streamed finish is a list": stream(delta("a", ["x"], usage=USAGE), DONE),
    "an event is deep": stream(b"data: " + DEEP.encode() + b"\n\n", DONE),
    "an event has a deep field": stream(
        delta("a", x=json.loads(DEEP)), delta_event("b", finish="stop"), DONE
    ),
    "a streamed logprob is NaN": stream(f"data: {logprob('NaN')}\n\n".encode(), DONE),
    "half a character": stream(b'data: {"choices":[{"delta":{"content":"\xf0\x9f"}}]}\n\n', DONE),
}


@pytest.fixture(scope="module")
def target() -> Iterator[FuzzTarget]:
    with FuzzTarget() as running:
        yield running


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_a_malformed_reply_is_not_an_internal_error(
    target: FuzzTarget, path: str, reply: Reply
) -> None:
    """Each response is JSON in the API's format, and no internal error is logged."""
    body: dict[str, object] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "x"}],
        "prompt": "x",
    }
    body |= {"input": "x", "logprobs": True, "top_logprobs": 1}
    target.answer_with(reply)
    for streamed in (False, True):
        target.send(path, json.dumps(body | {"stream": streamed}).encode(), {})


@pytest.mark.parametrize(
    "data",
    [
        *([{"id": MODEL, "created": when}] for when in (10**30, -5, 1.5, "x", None, [1])),
        [{"id": "half\ud800", "status": ["x"]}],
        *([{"id": MODEL, "details": 5, "size": "x", "max_model_len": []}],),
        *([1], {"a": 1}, "x", None, [{"id": 5}], [{}]),
    ],
    ids=repr,
)
def test_a_malformed_list_of_models_is_not_an_internal_error(data: object) -> None:
    """Nor does it break the metrics."""
    with FuzzTarget() as target:
        target.engine.on("/v1/models", json_reply({"data": data}))
        statuses = {
            path: target.proxy.http.get(path).status_code
            for path in ("/api/tags", "/api/ps", "/api/version", "/metrics")
        }
        assert target.faults.seen == []

    assert statuses["/metrics"] == statuses["/api/version"] == 200
    assert {statuses["/api/tags"], statuses["/api/ps"]} <= {200, 502}
