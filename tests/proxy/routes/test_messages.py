"""`/v1/messages`: the engine's own endpoint, or else translated to chat completions."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    CHAT_PATH,
    DONE,
    MODEL,
    USAGE,
    Received,
    Reply,
    ScriptedEngine,
    Step,
    completion,
    delta_event,
    event,
    json_reply,
    stream,
)
from tests.proxy.telemetry.counting import CHUNKS, ERRORS, REQUESTS, STREAMS, TOKENS

PATH = "/v1/messages"
USER = [{"role": "user", "content": "hi"}]
BODY: dict[str, Any] = {"model": MODEL, "max_tokens": 5, "messages": USER}
TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
# What Claude Code 2.1.197 sends after a tool call, with texts of our own.
CLAUDE_CODE = Path(__file__).parent / "samples" / "claude_code_2.1.json"


def events(text: str) -> list[dict[str, Any]]:
    lines = [line for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_an_engine_without_the_endpoint_is_asked_for_a_chat_completion(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    response = proxy.http.post(PATH, json=BODY)

    assert response.status_code == 200
    assert response.json()["content"] == [{"type": "text", "text": "Hello world"}]
    assert response.json()["model"] == MODEL
    assert response.json()["id"] == f"msg_{response.headers['x-request-id']}"
    assert engine.calls()[0].json == {
        "model": MODEL,
        "messages": USER,
        "stream": False,
        "max_tokens": 5,
    }


def test_a_stream_has_anthropics_events(proxy: RunningProxy) -> None:
    response = proxy.http.post(PATH, json=BODY | {"stream": True})

    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-cache"
    assert [value["type"] for value in events(response.text)] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    scrape = proxy.idle()
    assert scrape.value(CHUNKS, endpoint="v1_messages") == 2
    assert scrape.value(TOKENS, model=MODEL) == 18
    assert scrape.value(STREAMS, endpoint="v1_messages", outcome="completed") == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called(engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool) -> None:
    engine.chat(
        stream(delta_event(None, finish="tool_calls", usage=USAGE, tool_calls=[CALL]), DONE)
        if streamed
        else completion(None, finish="tool_calls", tool_calls=[CALL])
    )
    choice = {"type": "any"}
    body = BODY | {"tools": TOOLS, "tool_choice": choice, "stream": streamed}
    response = proxy.http.post(PATH, json=body)

    made = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    if streamed:
        blocks = [value.get("content_block") for value in events(response.text)]
        assert made in blocks
    else:
        assert response.json()["content"] == [made]
        assert response.json()["stop_reason"] == "tool_use"
    assert engine.calls()[0].json["tool_choice"] == "required"


def test_what_claude_code_sends_is_understood(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    sent = json.loads(CLAUDE_CODE.read_text())
    response = proxy.http.post(f"{PATH}?beta=true", json=sent)

    assert events(response.text)[-1] == {"type": "message_stop"}
    received = engine.calls()[0].json
    assert [message["role"] for message in received["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
    ]
    assert received["messages"][1]["content"].endswith("Agents that can be started: none.")
    assert received["tools"][0]["function"]["parameters"] == sent["tools"][0]["input_schema"]
    assert (received["max_tokens"], received["reasoning_effort"]) == (32000, "high")


def test_the_engines_own_endpoint_is_used_if_there_is_one(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.on(PATH, json_reply({"type": "message", "id": "own", "usage": {"output_tokens": 3}}))
    response = proxy.http.post(PATH, json=BODY)

    assert response.json()["id"] == "own"
    assert engine.calls() == []
    assert proxy.idle().value(TOKENS, model=MODEL) == 3


def test_the_engine_is_asked_for_the_endpoint_once_a_minute(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Each request in between is one call; an engine that is replaced is noticed."""
    for _ in range(3):
        assert proxy.http.post(PATH, json=BODY).status_code == 200
    assert (len(engine.calls(PATH)), len(engine.calls(CHAT_PATH))) == (1, 3)
    proxy.put_forward(61)
    engine.on(PATH, json_reply({"type": "message", "id": "own"}))

    assert proxy.http.post(PATH, json=BODY).json()["id"] == "own"


@pytest.mark.parametrize("status", [404, 405])
def test_either_status_says_that_the_endpoint_is_missing(
    engine: ScriptedEngine, proxy: RunningProxy, status: int
) -> None:
    engine.on(PATH, Reply((b"",), status=status, content_type="text/plain", length=True))

    assert proxy.http.post(PATH, json=BODY).json()["type"] == "message"


def test_an_error_of_the_engines_own_endpoint_is_passed_on(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Nothing is tried instead: the engine has the endpoint."""
    engine.on(PATH, json_reply({"error": {"type": "x", "message": "out of memory"}}, 500))
    response = proxy.http.post(PATH, json=BODY)

    assert response.status_code == 500
    assert response.json()["error"] == {"type": "api_error", "message": "out of memory"}
    assert engine.calls() == []


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (BODY | {"max_tokens": 0}, 400, "invalid_request_error"),
        ({"model": MODEL, "messages": USER}, 400, "invalid_request_error"),
        (BODY | {"model": "nope"}, 404, "not_found_error"),
        (
            BODY | {"tools": [{"type": "bash_20250124", "name": "bash"}]},
            400,
            "invalid_request_error",
        ),
    ],
    ids=["zero tokens", "no limit", "unknown model", "a tool of Anthropic's"],
)
def test_a_request_that_is_at_fault_gets_anthropics_error(
    proxy: RunningProxy, body: dict[str, Any], status: int, kind: str
) -> None:
    response = proxy.http.post(PATH, json=body)

    assert response.status_code == status
    assert response.json()["type"] == "error"
    assert response.json()["error"]["type"] == kind
    assert proxy.idle().value(REQUESTS, endpoint="v1_messages", status="client_error") == 1


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("reply", "status", "kind"),
    [
        (
            json_reply({"message": "Prompt sequence length is greater than 8"}, 422),
            400,
            "invalid_request_error",
        ),
        (json_reply({"message": "out of memory"}, 500), 500, "api_error"),
        (json_reply({"message": "busy"}, 429), 429, "rate_limit_error"),
        (stream(event({"error": {"message": "out of memory"}}), DONE), 500, "api_error"),
    ],
    ids=["too long", "failed", "busy", "first event"],
)
def test_an_error_of_the_chat_completion_has_anthropics_shape(  # noqa: PLR0913
    engine: ScriptedEngine,
    proxy: RunningProxy,
    reply: Reply,
    status: int,
    kind: str,
    *,
    streamed: bool,
) -> None:
    if reply.content_type == "text/event-stream" and not streamed:
        reply = json_reply({"error": {"message": "out of memory"}}, 500)
    engine.chat(reply)
    response = proxy.http.post(PATH, json=BODY | {"stream": streamed})

    assert response.status_code == status
    assert (response.json()["type"], response.json()["error"]["type"]) == ("error", kind)


@pytest.mark.parametrize(
    "ending", [Step.CUT, event({"error": {"message": "out of memory"}})], ids=["cut", "error"]
)
def test_an_error_within_a_stream_is_anthropics_error_event(
    engine: ScriptedEngine, proxy: RunningProxy, ending: Step | bytes
) -> None:
    engine.chat(stream(delta_event("a"), ending))
    response = proxy.http.post(PATH, json=BODY | {"stream": True})

    assert response.status_code == 200
    last = events(response.text)[-1]
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    assert "\nevent: error\n" in response.text
    scrape = proxy.idle()
    assert scrape.value(REQUESTS, endpoint="v1_messages", status="error") == 1
    error_type = {"endpoint": "v1_messages", "error_type": "stream_interrupted"}
    assert scrape.value(ERRORS, **error_type) == 1


@pytest.mark.parametrize(
    "reply",
    [
        json_reply({"choices": []}),
        json_reply([]),
        json_reply({"choices": [{"message": {"tool_calls": 5}}]}),
        Reply((b"<html>",), length=True),
    ],
    ids=["no choices", "a list", "another shape", "HTML"],
)
def test_a_malformed_reply_is_the_engines_fault(
    engine: ScriptedEngine, proxy: RunningProxy, reply: Reply
) -> None:
    engine.chat(reply)
    response = proxy.http.post(PATH, json=BODY)

    assert response.status_code == 502
    assert response.json()["error"]["type"] == "api_error"


def test_a_client_that_disconnects_is_cancelled_and_so_is_the_engine(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(delta_event("a"), Step.STALL))
    with proxy.http.stream("POST", PATH, json=BODY | {"stream": True}) as response:
        assert "message_start" in next(response.iter_text())
    assert engine.calls()[0].gone.wait(30)

    scrape = proxy.idle()
    assert scrape.value(REQUESTS, endpoint="v1_messages", status="cancelled") == 1
    assert scrape.value(STREAMS, endpoint="v1_messages", outcome="client_disconnected") == 1


def test_a_silent_engine_does_not_keep_the_client_waiting(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Reading a long prompt takes minutes, after which many clients would have given up."""
    read = threading.Event()
    engine.chat(
        stream(b": keep-alive\n\n", read, delta_event("a", finish="stop", usage=USAGE), DONE)
    )
    with proxy.http.stream("POST", PATH, json=BODY | {"stream": True}) as response:
        texts = response.iter_text()
        first = next(texts)
        read.set()
        rest = "".join(texts)

    assert first.startswith("event: message_start\n")
    assert events(rest)[-1] == {"type": "message_stop"}


def test_the_limit_on_requests_holds(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """The slot is held until the translated reply has ended."""
    ends = threading.Event()

    def waits(_: Received) -> Reply:
        return stream(delta_event("a"), ends, delta_event("b", finish="stop", usage=USAGE), DONE)

    engine.chat(waits)
    with proxy.http.stream("POST", PATH, json=BODY | {"stream": True}) as response:
        texts = response.iter_text()
        next(texts)
        assert proxy.scrape().value("mistral_running_requests") == 1
        ends.set()
        "".join(texts)
    assert proxy.counted("mistral_running_requests", 0)
