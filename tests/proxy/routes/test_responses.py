"""`/v1/responses`: the engine's own endpoint, or else translated to chat completions."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.running import STARTED_AT, RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    ScriptedEngine,
    Step,
    completion,
    delta_event,
    event,
    json_reply,
    stream,
)
from tests.proxy.telemetry.counting import CHUNKS, ERRORS, REQUESTS, STREAMS, TOKENS

PATH = "/v1/responses"
BODY: dict[str, Any] = {"model": MODEL, "input": "hi"}
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}
# What Codex 0.171 sends after a tool call, with texts of our own.
CODEX = Path(__file__).parent / "samples" / "codex_0.171.json"


def events(text: str) -> list[dict[str, Any]]:
    lines = [line for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def test_an_engine_without_the_endpoint_is_asked_for_a_chat_completion(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    response = proxy.http.post(PATH, json=BODY)
    made = response.json()

    assert made["output"][0]["content"][0]["text"] == "Hello world"
    assert made["id"] == f"resp_{response.headers['x-request-id']}"
    assert made["model"] == MODEL
    assert made["created_at"] > STARTED_AT
    assert engine.calls()[0].json == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
    }


def test_a_stream_has_openais_events(proxy: RunningProxy) -> None:
    response = proxy.http.post(PATH, json=BODY | {"stream": True})

    assert response.headers["content-type"] == "text/event-stream"
    last = events(response.text)[-1]
    assert last["type"] == "response.completed"
    assert last["response"]["usage"]["output_tokens"] == 18
    scrape = proxy.idle()
    assert scrape.value(CHUNKS, endpoint="v1_responses") == 2
    assert scrape.value(TOKENS, model=MODEL) == 18
    assert scrape.value(STREAMS, endpoint="v1_responses", outcome="completed") == 1


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called(engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool) -> None:
    engine.chat(
        stream(delta_event(None, finish="tool_calls", usage=USAGE, tool_calls=[CALL]), DONE)
        if streamed
        else completion(None, finish="tool_calls", tool_calls=[CALL])
    )
    body = BODY | {"tools": [FUNCTION], "tool_choice": "required", "stream": streamed}
    response = proxy.http.post(PATH, json=body)

    made = events(response.text)[-1]["response"] if streamed else response.json()
    (item,) = made["output"]
    assert (item["type"], item["call_id"], item["name"]) == ("function_call", "c", "f")
    assert engine.calls()[0].json["tool_choice"] == "required"


def test_what_codex_sends_is_understood(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    sent = json.loads(CODEX.read_text())
    response = proxy.http.post(PATH, json=sent)

    assert events(response.text)[-1]["type"] == "response.completed"
    received = engine.calls()[0].json
    roles = [message["role"] for message in received["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]
    assert received["messages"][2]["reasoning_content"] == "A note."
    names = [tool["function"]["name"] for tool in received["tools"]]
    assert names == ["exec_command", "multi_agent_v1.close_agent"]


def test_web_search_is_left_out_and_logged_once(
    engine: ScriptedEngine, proxy: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Codex always offers it; the engine's own endpoint doesn't get it either."""
    engine.on(PATH, json_reply({"id": "own", "object": "response", "output": []}))
    body = BODY | {"tools": [FUNCTION, {"type": "web_search"}, {"type": "web_search_preview"}]}
    for _ in range(2):
        assert proxy.http.post(PATH, json=body).json()["id"] == "own"

    assert engine.calls(PATH)[0].json["tools"] == [FUNCTION]
    logged = [record for record in caplog.records if record.message == "engine_tool_left_out"]
    assert len(logged) == 1


def test_the_operator_can_allow_web_search(engine: ScriptedEngine, settings: ProxySettings) -> None:
    engine.on(PATH, json_reply({"id": "own", "object": "response", "output": []}))
    body = BODY | {"tools": [{"type": "web_search"}]}
    with RunningProxy(replace(settings, allow_engine_tools=True)) as proxy:
        proxy.http.post(PATH, json=body)

    assert engine.calls(PATH)[0].json == body


def test_the_engines_own_endpoint_is_used_if_there_is_one(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.on(PATH, json_reply({"id": "own", "object": "response", "output": []}))

    assert proxy.http.post(PATH, json=BODY).json()["id"] == "own"
    assert engine.calls() == []


def test_each_endpoint_is_remembered_by_itself(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """An engine may have one of the two APIs."""
    engine.on("/v1/messages", json_reply({"type": "message", "id": "own"}))
    messages = {"model": MODEL, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    for _ in range(2):
        assert proxy.http.post(PATH, json=BODY).json()["object"] == "response"
        assert proxy.http.post("/v1/messages", json=messages).json()["id"] == "own"

    assert (len(engine.calls(PATH)), len(engine.calls("/v1/messages"))) == (1, 2)


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "item_reference"),
        ({"tools": [{"type": "code_interpreter"}]}, "code_interpreter"),
    ],
    ids=str,
)
def test_a_request_that_is_at_fault_gets_openais_error(
    proxy: RunningProxy, extra: dict[str, Any], named: str
) -> None:
    response = proxy.http.post(PATH, json=BODY | extra)

    assert response.status_code == 400
    assert named in response.json()["error"]["message"]
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert proxy.idle().value(REQUESTS, endpoint="v1_responses", status="client_error") == 1


def test_an_error_of_the_chat_completion_has_a_status_if_nothing_was_sent(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(event({"error": {"message": "Received an empty prompt"}}), DONE))
    response = proxy.http.post(PATH, json=BODY | {"stream": True})

    assert response.status_code == 400
    assert response.json()["error"]["message"] == "Received an empty prompt"


@pytest.mark.parametrize(
    "ending", [Step.CUT, event({"error": {"message": "out of memory"}})], ids=["cut", "error"]
)
def test_an_error_within_a_stream_is_a_response_that_failed(
    engine: ScriptedEngine, proxy: RunningProxy, ending: Step | bytes
) -> None:
    engine.chat(stream(delta_event("a"), ending))
    response = proxy.http.post(PATH, json=BODY | {"stream": True})

    last = events(response.text)[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert last["response"]["error"]["code"] == "server_error"
    error_type = {"endpoint": "v1_responses", "error_type": "stream_interrupted"}
    assert proxy.idle().value(ERRORS, **error_type) == 1


def test_an_error_within_the_engines_own_stream_is_an_error_event(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    created = b"event: response.created\n" + event({"type": "response.created"})
    engine.on(PATH, stream(created, Step.CUT))
    response = proxy.http.post(PATH, json=BODY | {"stream": True})

    last = events(response.text)[-1]
    assert "\nevent: error\n" in response.text
    assert (last["type"], last["message"]) == ("error", last["error"]["message"])
    assert "broke" in last["message"]


def test_a_client_that_disconnects_is_cancelled_and_so_is_the_engine(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(delta_event("a"), Step.STALL))
    with proxy.http.stream("POST", PATH, json=BODY | {"stream": True}) as response:
        assert "response.created" in next(response.iter_text())
    assert engine.calls()[0].gone.wait(30)

    assert proxy.idle().value(REQUESTS, endpoint="v1_responses", status="cancelled") == 1
