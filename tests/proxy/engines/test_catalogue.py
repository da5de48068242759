"""The engine's models: loading and unloading, and probes that fail."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.bodies import CHAT
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import (
    MODEL,
    OTHER_MODEL,
    Received,
    Reply,
    ScriptedEngine,
    Step,
    default_chat,
    default_embeddings,
    json_reply,
    stream,
)


@pytest.mark.parametrize("unload", [False, True])
@pytest.mark.parametrize("path", ["chat", "generate"])
def test_a_request_without_a_prompt_loads_or_unloads_the_model(
    engine: ScriptedEngine, settings: ProxySettings, path: str, *, unload: bool
) -> None:
    """The response is one JSON object, even if streamed, and nothing is generated."""
    request: dict[str, object] = {"model": MODEL}
    request |= {"messages": []} if path == "chat" else {}
    request |= {"keep_alive": 0} if unload else {}
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        response = proxy.http.post(f"/api/{path}", json=request)

    body = response.json()
    assert response.headers["content-type"].startswith("application/json")
    assert body["done"] is True
    assert body["done_reason"] == ("unload" if unload else "load")
    assert "message" in body if path == "chat" else body["response"] == ""
    assert len(engine.calls("/v1/models/unload")) == unload
    assert engine.calls() == []


def test_no_model_is_unloaded_unless_the_settings_allow_it(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Other clients share the engine, so by default their models stay loaded."""
    response = proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})

    assert response.json()["done_reason"] == "unload"
    assert engine.calls("/v1/models/unload") == []


def test_an_engine_that_cannot_unload_is_a_501(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Not every engine has the endpoint; the model stays loaded."""
    engine.on("/v1/models/unload", Reply((b"",), status=404, length=True))
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        response = proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
        again = proxy.http.post("/api/chat", json=CHAT)

    assert response.status_code == 501
    assert response.json() == {"error": "the engine behind this server has no /v1/models/unload"}
    assert again.json()["load_duration"] == 0


def test_a_model_that_was_unloaded_is_loaded_for_the_next_request(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """The engine never gets a request for an unloaded model."""
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        proxy.http.post("/api/chat", json=CHAT | {"keep_alive": 0})
        assert eventually(lambda: engine.status_of[MODEL] == "unloaded")
        assert proxy.http.get("/api/ps").json()["models"][0]["name"] == f"{OTHER_MODEL}:latest"
        body = proxy.http.post("/api/chat", json=CHAT).json()

    assert body["load_duration"] > 0
    assert body["message"]["content"] == "Hello world"


@pytest.mark.parametrize("text", ["x", ""])
@pytest.mark.parametrize(("path", "field"), [("embed", "input"), ("embeddings", "prompt")])
def test_embedding_with_a_keep_alive_of_0_unloads_the_model(
    engine: ScriptedEngine, settings: ProxySettings, path: str, field: str, text: str
) -> None:
    """As in chat and generate, and also if there is nothing to embed."""
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        body = {"model": MODEL, field: text, "keep_alive": 0}
        assert proxy.http.post(f"/api/{path}", json=body).status_code == 200
        assert eventually(lambda: engine.status_of[MODEL] == "unloaded")


def test_an_unload_that_hangs_times_out(engine: ScriptedEngine, settings: ProxySettings) -> None:
    """Requests for the list of models wait for it, because no probe may run at the same time."""
    engine.on("/v1/models/unload", stream(Step.STALL))
    body = {"model": MODEL, "keep_alive": 0}
    with (
        RunningProxy(replace(settings, model_unload=True)) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        sent = pool.submit(proxy.http.post, "/api/generate", json=body)
        seconds = settings.engine_probe_timeout_seconds + 1
        proxy.put_forward_in_silence(engine, seconds, path="/v1/models/unload")
        response = sent.result()
        assert proxy.http.get("/api/tags").status_code == 200

    assert response.status_code == 504
    assert "ENGINE_PROBE_TIMEOUT" in response.json()["error"]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_unload_that_fails_does_not_affect_the_response(
    engine: ScriptedEngine, settings: ProxySettings, *, streamed: bool
) -> None:
    """The response was complete before; the failure is only logged."""
    engine.on("/v1/models/unload", json_reply({"message": "busy"}, 500))
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        response = proxy.http.post("/api/chat", json=CHAT | {"keep_alive": 0, "stream": streamed})
        assert eventually(lambda: len(engine.calls("/v1/models/unload")) == 1)
        again = proxy.http.post("/api/chat", json=CHAT)

    lines = [json.loads(line) for line in response.content.splitlines()]
    assert response.status_code == 200
    assert "".join(line["message"]["content"] for line in lines) == "Hello world"
    assert again.json()["message"]["content"] == "Hello world"


@pytest.mark.parametrize(
    "path",
    [
        *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
        *("/v1/chat/completions", "/v1/embeddings"),
    ],
)
def test_a_refusal_right_after_a_load_is_retried_once(
    engine: ScriptedEngine, proxy: RunningProxy, path: str
) -> None:
    """Mistral.rs has been seen to refuse one request after a reload, as "poisoned"."""
    engine_path = "/v1/embeddings" if "embed" in path else "/v1/chat/completions"
    replies = {"/v1/embeddings": default_embeddings, "/v1/chat/completions": default_chat}
    poisoned = json_reply({"message": "EnginePoisoned"}, 500)

    def refuse_first(request: Received) -> Reply:
        return poisoned if len(engine.calls(engine_path)) == 1 else replies[engine_path](request)

    engine.on(engine_path, refuse_first)
    engine.status_of[MODEL] = "unloaded"
    proxy.probe()

    body = CHAT | {"prompt": "x", "input": "x"}
    assert proxy.http.post(path, json=body).status_code == 200
    engine.on(engine_path, poisoned)
    assert proxy.http.post(path, json=body).status_code == 503
    assert len(engine.calls(engine_path)) == 3


@pytest.mark.parametrize(
    ("reloaded", "status", "text"),
    [
        ({"status": "not_found"}, 404, "not found"),
        ({"status": "internal_error", "error": "out of memory"}, 503, "out of memory"),
        ({"status": "no_loader_config"}, 503, "no_loader_config"),
        ({"status": "reloading"}, 503, "did not load"),
        ({}, 502, "unknown format"),
    ],
)
def test_a_model_that_the_engine_cannot_load_is_an_error_at_once(
    engine: ScriptedEngine,
    proxy: RunningProxy,
    reloaded: dict[str, str],
    status: int,
    text: str,
) -> None:
    """The engine reports it with a 200. Nothing is sent to the model, and no load is counted."""
    engine.status_of[MODEL] = "unloaded"
    engine.on("/v1/models/reload", json_reply({"model_id": MODEL} | reloaded))
    proxy.probe()
    reply = proxy.http.post("/api/chat", json=CHAT)

    assert reply.status_code == status
    assert text in reply.json()["error"]
    assert engine.calls() == []
    assert proxy.idle().value("mistral_model_load_duration_seconds_count", model=MODEL) == 0


def test_a_model_that_vanished_is_not_found(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """It is listed as unloaded when the request arrives, but no longer when it has to be loaded."""
    engine.status_of[MODEL] = "unloaded"
    proxy.probe()
    del engine.status_of[MODEL]
    reply = proxy.http.post("/api/chat", json=CHAT)

    assert reply.status_code == 404
    assert engine.calls("/v1/models/reload") == []
    assert proxy.idle().value("mistral_model_load_duration_seconds_count", model=MODEL) == 0
