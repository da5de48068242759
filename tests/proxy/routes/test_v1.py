"""`/v1/*`: OpenAI's and Anthropic's APIs, passed through."""

import json

import pytest

from tests.proxy.bodies import CHAT, USER
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    Reply,
    ScriptedEngine,
    chunk,
    event,
    json_reply,
    stream,
)


def test_an_unknown_model_is_openais_404_on_v1(proxy: RunningProxy) -> None:
    answer = proxy.http.post("/v1/chat/completions", json=CHAT | {"model": "nope"})

    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_sampling_on_v1_is_the_clients_and_the_models(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    proxy.http.post("/v1/chat/completions", json=CHAT | {"model": MODEL.lower()})

    assert engine.calls()[0].json == CHAT


@pytest.mark.parametrize("name", [MODEL, MODEL.replace("/", "%2F"), MODEL.lower() + ":latest"])
def test_one_model_can_be_looked_up_on_v1(proxy: RunningProxy, name: str) -> None:
    """The engine has no such route; slashes may be encoded."""
    answer = proxy.http.get(f"/v1/models/{name}")

    assert answer.json()["id"] == MODEL
    assert proxy.http.get("/v1/models/nope").json()["error"]["type"] == "not_found_error"


def test_a_model_under_a_key_of_another_case_is_named_to_the_engine(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Ollama takes it; the engine's own API does not."""
    answer = proxy.http.post("/v1/chat/completions", json={"Model": MODEL, "messages": USER})

    assert answer.status_code == 200
    assert engine.calls()[0].json == {"model": MODEL, "messages": USER}


def test_a_stream_is_one_whatever_the_case_of_its_type(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Media types have none (RFC 9110, 8.3.1)."""
    events = chunk("a") + chunk("b", finish="stop", usage=USAGE) + DONE
    engine.chat(Reply((events,), content_type="Text/Event-Stream; charset=utf-8"))
    answer = proxy.http.post("/v1/chat/completions", json=CHAT | {"stream": True})

    assert (answer.status_code, answer.content) == (200, events)


def test_a_slash_behind_v1_models_changes_nothing(proxy: RunningProxy) -> None:
    assert proxy.http.get("/v1/models/").content == proxy.http.get("/v1/models").content


@pytest.mark.parametrize("streamed", [False, True])
def test_v1_passes_byte_for_byte(
    engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool
) -> None:
    """Neither the request nor the answer is written anew."""
    odd = b'{ "model" : "%b",  "stream":%b, "unknown": [1.0e1] }' % (
        MODEL.encode(),
        json.dumps(streamed).encode(),
    )
    events = b": hi\r\n\r\n" + chunk("a") + chunk("b", finish="stop", usage=USAGE) + DONE
    whole = b'{ "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2} }\n'
    engine.chat(stream(events) if streamed else Reply((whole,), length=True))

    answer = proxy.http.post("/v1/chat/completions", content=odd)

    assert engine.calls()[0].body == odd
    assert answer.content == (events if streamed else whole)
    scrape = proxy.idle()
    assert scrape.value("mistral_generate_tokens_total", model=MODEL) == (18 if streamed else 2)
    chunks = scrape.value("mistral_streaming_chunks_total", endpoint="v1_chat_completions")
    assert chunks == (2 if streamed else 0)


def test_messages_pass_through_and_fail_in_anthropics_shape(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Where the engine has the endpoint, and where it has not."""
    body = {"model": MODEL, "messages": USER, "max_tokens": 5}
    absent = proxy.http.post("/v1/messages", json=body)
    unknown = proxy.http.post("/v1/messages", json=body | {"model": "nope"})
    engine.on("/v1/messages", json_reply({"type": "message", "usage": {"output_tokens": 3}}))
    present = proxy.http.post("/v1/messages", json=body)

    assert absent.status_code == 501
    assert unknown.json()["type"] == "error"
    assert unknown.json()["error"]["type"] == "not_found_error"
    assert present.json()["type"] == "message"
    assert proxy.idle().value("mistral_generate_tokens_total", model=MODEL) == 3


def test_an_error_as_first_event_is_a_status_on_v1_as_well(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(event({"error": {"message": "out of memory"}}), DONE))

    answer = proxy.http.post("/v1/chat/completions", json=CHAT | {"stream": True})

    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "out of memory"
