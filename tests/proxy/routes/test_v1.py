"""`/v1/*`: OpenAI's API, passed through."""

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
    delta_event,
    event,
    json_reply,
    stream,
)


def test_an_unknown_model_is_a_404_in_openais_format(proxy: RunningProxy) -> None:
    response = proxy.http.post("/v1/chat/completions", json=CHAT | {"model": "nope"})

    assert response.status_code == 404
    assert response.json()["error"]["type"] == "not_found_error"
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_sampling_options_on_v1_get_no_defaults(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    proxy.http.post("/v1/chat/completions", json=CHAT | {"model": MODEL.lower()})

    assert engine.calls()[0].json == CHAT


@pytest.mark.parametrize("name", [MODEL, MODEL.replace("/", "%2F"), MODEL.lower() + ":latest"])
def test_one_model_can_be_looked_up_on_v1(proxy: RunningProxy, name: str) -> None:
    """Although the engine has no such route; slashes may be encoded."""
    response = proxy.http.get(f"/v1/models/{name}")

    assert response.json()["id"] == MODEL
    assert proxy.http.get("/v1/models/nope").json()["error"]["type"] == "not_found_error"


def test_a_model_under_a_key_in_another_case_is_sent_as_model(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Ollama accepts it, but the engine's own API doesn't."""
    response = proxy.http.post("/v1/chat/completions", json={"Model": MODEL, "messages": USER})

    assert response.status_code == 200
    assert engine.calls()[0].json == {"model": MODEL, "messages": USER}


def test_the_content_type_of_a_stream_may_be_in_any_case(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Media types are case-insensitive (RFC 9110, 8.3.1)."""
    events = delta_event("a") + delta_event("b", finish="stop", usage=USAGE) + DONE
    engine.chat(Reply((events,), content_type="Text/Event-Stream; charset=utf-8"))
    response = proxy.http.post("/v1/chat/completions", json=CHAT | {"stream": True})

    assert (response.status_code, response.content) == (200, events)


def test_a_slash_after_v1_models_changes_nothing(proxy: RunningProxy) -> None:
    assert proxy.http.get("/v1/models/").content == proxy.http.get("/v1/models").content


@pytest.mark.parametrize("streamed", [False, True])
def test_v1_is_passed_through_byte_for_byte(
    engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool
) -> None:
    """Neither the request nor the reply is decoded and encoded again."""
    odd = b'{ "model" : "%b",  "stream":%b, "unknown": [1.0e1] }' % (
        MODEL.encode(),
        json.dumps(streamed).encode(),
    )
    events = (
        b": hi\r\n\r\n" + delta_event("a") + delta_event("b", finish="stop", usage=USAGE) + DONE
    )
    whole = b'{ "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2} }\n'
    engine.chat(stream(events) if streamed else Reply((whole,), length=True))

    response = proxy.http.post("/v1/chat/completions", content=odd)

    assert engine.calls()[0].body == odd
    assert response.content == (events if streamed else whole)
    scrape = proxy.idle()
    assert scrape.value("mistral_generate_tokens_total", model=MODEL) == (18 if streamed else 2)
    chunks = scrape.value("mistral_streaming_chunks_total", endpoint="v1_chat_completions")
    assert chunks == (2 if streamed else 0)


def test_tokens_are_counted_by_the_engine_if_it_can(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Anthropic's clients ask before they send a message. That is no generation."""
    path, body = "/v1/messages/count_tokens", {"model": MODEL.lower(), "messages": USER}
    absent = proxy.http.post(path, json=body)
    engine.on(path, json_reply({"input_tokens": 14}))
    counted = proxy.http.post(path + "?beta=true", json=body)
    engine.on(path, json_reply({"type": "error", "error": {"message": "out of memory"}}, 500))
    failed = proxy.http.post(path, json=body)

    assert absent.status_code == 501
    assert absent.json()["error"]["message"] == f"the engine behind this server has no {path}"
    assert counted.json() == {"input_tokens": 14}
    assert engine.calls(path)[1].json == {"model": MODEL, "messages": USER}
    assert (failed.status_code, failed.json()["type"]) == (500, "error")
    scrape = proxy.idle()
    requests = [
        scrape.value("mistral_http_requests_total", endpoint="unmatched", status=status)
        for status in ("success", "client_error", "error")
    ]
    assert requests == [1, 1, 1]
    assert scrape.value("mistral_generate_tokens_total", model=MODEL) == 0
    reasons = ("stop", "error")
    assert not any(
        scrape.value("mistral_generations_total", model=MODEL, finish_reason=reason)
        for reason in reasons
    )


def test_an_error_as_the_first_event_becomes_a_status_on_v1(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(event({"error": {"message": "out of memory"}}), DONE))

    response = proxy.http.post("/v1/chat/completions", json=CHAT | {"stream": True})

    assert response.status_code == 500
    assert response.json()["error"]["message"] == "out of memory"


@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses", "messages"])
@pytest.mark.parametrize(
    "stops", [{"stop": ""}, {"stop": ["x", ""]}, {"Stop": [""]}, {"stop_sequences": [""]}]
)
def test_an_empty_stop_string_that_would_end_the_engine_is_refused(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, stops: dict[str, object]
) -> None:
    response = proxy.http.post(f"/v1/{path}", json=CHAT | stops)

    assert response.status_code == 400
    assert "has an empty string" in response.json()["error"]["message"]
    assert engine.calls() == []


def test_stop_strings_are_passed_on(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    for position, stop in enumerate((None, [], "x", ["x", "y"])):
        assert proxy.http.post("/v1/chat/completions", json=CHAT | {"stop": stop}).is_success
        assert engine.calls()[position].json == CHAT | {"stop": stop}
