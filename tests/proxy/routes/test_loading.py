"""Loading and unloading of models."""

import json
from dataclasses import replace

import pytest

from proxy_service.settings import ProxySettings
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
def test_a_request_without_a_prompt_loads_or_unloads(
    engine: ScriptedEngine, settings: ProxySettings, path: str, *, unload: bool
) -> None:
    """One JSON object even when streaming, and no generation."""
    body: dict[str, object] = {"model": MODEL} | ({"messages": []} if path == "chat" else {})
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        answer = proxy.http.post(f"/api/{path}", json=body | ({"keep_alive": 0} if unload else {}))

    reply = answer.json()
    assert answer.headers["content-type"].startswith("application/json")
    assert reply["done"] is True
    assert reply["done_reason"] == ("unload" if unload else "load")
    assert "message" in reply if path == "chat" else reply["response"] == ""
    assert len(engine.calls("/v1/models/unload")) == unload
    assert engine.calls() == []


def test_unloading_is_left_alone_unless_the_settings_allow_it(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Other clients share the engine: by default nobody takes a model away from them."""
    answer = proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})

    assert answer.json()["done_reason"] == "unload"
    assert engine.calls("/v1/models/unload") == []


def test_an_engine_that_can_not_unload_is_told_as_such(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Not every engine has the endpoint; the model stays, and serves."""
    engine.on("/v1/models/unload", Reply((b"",), status=404, length=True))
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        answer = proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
        again = proxy.http.post("/api/chat", json=CHAT)

    assert answer.status_code == 501
    assert answer.json() == {"error": "the engine behind this server has no /v1/models/unload"}
    assert again.json()["load_duration"] == 0


def test_a_model_unloaded_after_a_reply_is_loaded_for_the_next(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """The engine never gets a request for a model that it has unloaded."""
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        proxy.http.post("/api/chat", json=CHAT | {"keep_alive": 0})
        assert eventually(lambda: engine.status_of[MODEL] == "unloaded")
        assert proxy.http.get("/api/ps").json()["models"][0]["name"] == f"{OTHER_MODEL}:latest"
        reply = proxy.http.post("/api/chat", json=CHAT).json()

    assert reply["load_duration"] > 0
    assert reply["message"]["content"] == "Hello world"


@pytest.mark.parametrize("text", ["x", ""])
@pytest.mark.parametrize(("path", "field"), [("embed", "input"), ("embeddings", "prompt")])
def test_embedding_unloads_with_a_keep_alive_of_0(
    engine: ScriptedEngine, settings: ProxySettings, path: str, field: str, text: str
) -> None:
    """As chat and generate do; with nothing to embed as well."""
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        body = {"model": MODEL, field: text, "keep_alive": 0}
        assert proxy.http.post(f"/api/{path}", json=body).status_code == 200
        assert eventually(lambda: engine.status_of[MODEL] == "unloaded")


def test_an_unload_that_hangs_holds_nobody_up_for_long(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """No probe may cross it, so that everyone who asks for models waits."""
    engine.on("/v1/models/unload", stream(Step.STALL))
    impatient = replace(settings, model_unload=True, engine_probe_timeout_seconds=0.3)
    with RunningProxy(impatient) as proxy:
        answer = proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
        assert proxy.http.get("/api/tags").status_code == 200

    assert answer.status_code == 504
    assert "ENGINE_PROBE_TIMEOUT" in answer.json()["error"]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_unload_that_fails_takes_no_reply_away(
    engine: ScriptedEngine, settings: ProxySettings, *, streamed: bool
) -> None:
    """The reply was complete before; that the model stayed is for the log."""
    engine.on("/v1/models/unload", json_reply({"message": "busy"}, 500))
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        answer = proxy.http.post("/api/chat", json=CHAT | {"keep_alive": 0, "stream": streamed})
        assert eventually(lambda: len(engine.calls("/v1/models/unload")) == 1)
        again = proxy.http.post("/api/chat", json=CHAT)

    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert answer.status_code == 200
    assert "".join(line["message"]["content"] for line in lines) == "Hello world"
    assert again.json()["message"]["content"] == "Hello world"


@pytest.mark.parametrize(
    "path",
    [
        *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
        *("/v1/chat/completions", "/v1/embeddings"),
    ],
)
def test_a_refusal_right_after_a_load_is_tried_once_more(
    engine: ScriptedEngine, proxy: RunningProxy, path: str
) -> None:
    """The engine was seen to be "poisoned" for one request after a reload."""
    asked = "/v1/embeddings" if "embed" in path else "/v1/chat/completions"
    answers = {"/v1/embeddings": default_embeddings, "/v1/chat/completions": default_chat}
    poisoned = json_reply({"message": "EnginePoisoned"}, 500)

    def refuse_first(request: Received) -> Reply:
        return poisoned if len(engine.calls(asked)) == 1 else answers[asked](request)

    engine.on(asked, refuse_first)
    engine.status_of[MODEL] = "unloaded"
    proxy.probe()

    body = CHAT | {"prompt": "x", "input": "x"}
    assert proxy.http.post(path, json=body).status_code == 200
    engine.on(asked, poisoned)
    assert proxy.http.post(path, json=body).status_code == 503
    assert len(engine.calls(asked)) == 3
