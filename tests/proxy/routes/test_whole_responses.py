"""Whole responses of chat and generate, for which the engine is asked for a stream."""

import json
import socket

import pytest

from tests.proxy.bodies import CHAT, GENERATE
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import (
    DONE,
    USAGE,
    Body,
    ScriptedEngine,
    Step,
    completion,
    default_chat,
    delta_event,
    stream,
)

CALL = {
    "id": "c1",
    "index": 0,
    "type": "function",
    "function": {"name": "now", "arguments": '{"zone":"utc"}'},
}
LAST = delta_event("", finish="stop", usage=USAGE)
UMLAUTS = '\N{LATIN SMALL LETTER A WITH DIAERESIS}\N{GRINNING FACE}\u2028"\\\n\x7f'
# Replies of the engine, each as a stream and as one object.
REPLIES = {
    "text": ([delta_event(c) for c in ("a", "b", " ", "c")], {"content": "ab c"}),
    "many plain events": ([delta_event(f"w{n} ") for n in range(2000)], None),
    "escapes": ([delta_event(c) for c in UMLAUTS], {"content": UMLAUTS}),
    "nothing": ([], {"content": ""}),
    "thinking": (
        [*(delta_event(None, reasoning_content=text) for text in "hm"), delta_event("x")],
        {"content": "x", "reasoning_content": "hm"},
    ),
    "a tool call": ([delta_event(None, tool_calls=[CALL])], {"content": "", "tool_calls": [CALL]}),
}


def _without_times(body: Body) -> Body:
    return {k: v for k, v in body.items() if k not in ("created_at", "total_duration", "context")}


@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize("path", ["chat", "generate"])
def test_a_response_is_the_same_however_the_engine_sends_it(
    engine: ScriptedEngine, proxy: RunningProxy, name: str, path: str
) -> None:
    """Its fields have the same order, too; an engine that knows no streams is understood."""
    events, message = REPLIES[name]
    message = message or {"content": "".join(f"w{n} " for n in range(2000))}
    body = CHAT if path == "chat" else GENERATE
    engine.chat(stream(b"".join(events), LAST, DONE))
    collected = proxy.http.post(f"/api/{path}", json=body)
    engine.chat(completion(**message))
    whole = proxy.http.post(f"/api/{path}", json=body)

    assert [call.json["stream"] for call in engine.calls()] == [True, True]
    assert collected.status_code == whole.status_code == 200
    assert collected.headers["content-type"] == whole.headers["content-type"]
    assert list(collected.json()) == list(whole.json())
    assert _without_times(collected.json()) == _without_times(whole.json())
    assert collected.json().get("context") == whole.json().get("context")


def test_a_stop_string_ends_a_whole_response(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Engines differ in whether a stream contains it."""
    engine.chat(stream(*map(delta_event, ("one ", "EN", "D two")), LAST, DONE))
    body = proxy.http.post("/api/chat", json=CHAT | {"options": {"stop": ["END"]}}).json()

    assert body["message"]["content"] == "one "
    assert body["done_reason"] == "stop"


def test_the_metrics_are_those_of_a_whole_response(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Clients see no first token and no chunks."""
    engine.chat(default_chat)
    proxy.http.post("/api/chat", json=CHAT)
    scrape = proxy.idle()

    assert scrape.value("mistral_http_requests_total", endpoint="chat", status="success") == 1
    assert not [key for key in scrape.series("mistral_time_to_first_token") if scrape.samples[key]]
    assert not [key for key in scrape.series("mistral_stream") if scrape.samples[key]]


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_a_client_that_leaves_ends_the_engines_work(
    engine: ScriptedEngine, proxy: RunningProxy, path: str
) -> None:
    """Mistral.rs would finish a whole reply."""
    engine.chat(stream(delta_event("a"), Step.STALL))
    body = json.dumps(CHAT | GENERATE).encode()
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        assert proxy.counted("mistral_running_requests", 1)
        assert eventually(lambda: bool(engine.calls()))
        (call,) = engine.calls()
        assert call.silent.wait(30)
    assert call.gone.wait(30)
    assert proxy.counted("mistral_http_requests_total", 1, endpoint=path[5:], status="cancelled")


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_logprobs_are_asked_for_in_a_whole_reply(
    engine: ScriptedEngine, proxy: RunningProxy, path: str
) -> None:
    """Mistral.rs sends fewer of them in streams."""
    body = (CHAT | GENERATE) | {"logprobs": True}
    assert proxy.http.post(path, json=body).status_code == 200
    assert engine.calls()[0].json["stream"] is False
