"""How long models stay loaded: ``keep_alive``, and which model makes room for another."""

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.bodies import CHAT
from tests.proxy.running import STARTED_AT, RunningProxy, SteppedClock, eventually
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    OTHER_MODEL,
    USAGE,
    Received,
    Reply,
    ScriptedEngine,
    delta_event,
    json_reply,
    stream,
)
from tests.proxy.server.test_connection import Client, request

EMBED = {"model": MODEL, "input": "x"}
GENERATE = {"model": MODEL, "prompt": "x", "stream": False}
OTHER_CHAT = CHAT | {"model": OTHER_MODEL}


@pytest.fixture
def unloading(settings: ProxySettings) -> ProxySettings:
    """Return settings with which the proxy unloads models."""
    return replace(settings, model_unload=True)


class _TickingClock(SteppedClock):
    """Never returns a time twice, so that the order of two events is known."""

    def monotonic(self) -> float:
        self.ahead_seconds += 1e-9
        return self.ahead_seconds


def _expiry(proxy: RunningProxy, name: str = MODEL) -> float | None:
    """Return when a model expires by ``/api/ps``, in seconds after the start.

    Infinity means the date that Ollama shows for never, None that the model isn't loaded.
    """
    for model in proxy.http.get("/api/ps").json()["models"]:
        if model["name"] == f"{name}:latest":
            expiry = datetime.fromisoformat(model["expires_at"])
            if expiry.year == 2318:
                return math.inf
            return round(expiry.timestamp() - STARTED_AT, 3)
    return None


def _held(released: threading.Event) -> Reply:
    """Return a stream that waits for an event before its end."""
    return stream(delta_event("Hello"), released, delta_event("", finish="stop", usage=USAGE), DONE)


def _unloaded(engine: ScriptedEngine, model: str = MODEL) -> bool:
    return eventually(lambda: engine.status_of[model] == "unloaded")


@pytest.mark.parametrize(
    ("keep_alive", "seconds"),
    [
        ({}, 300),
        *(({"keep_alive": value}, 60) for value in (60, "60s", "1m", "0h0m60s")),
        ({"keep_alive": 0.5}, 0.5),
        ({"keep_alive": "24h"}, 86400),
    ],
)
@pytest.mark.parametrize(
    ("path", "body"), [("chat", CHAT), ("generate", GENERATE), ("embed", EMBED)]
)
def test_an_idle_model_is_unloaded_after_its_keep_alive(  # noqa: PLR0913, PLR0917
    engine: ScriptedEngine,
    unloading: ProxySettings,
    path: str,
    body: dict[str, object],
    keep_alive: dict[str, object],
    seconds: float,
) -> None:
    """``/api/ps`` reports when; the other model expires after the default of five minutes."""
    proxy = RunningProxy(unloading)
    proxy.clock = _TickingClock()
    with proxy:
        assert proxy.http.post(f"/api/{path}", json=body | keep_alive).status_code == 200
        assert _expiry(proxy) == seconds
        assert _expiry(proxy, OTHER_MODEL) == 300
        proxy.put_forward(seconds - 0.1)
        assert _expiry(proxy) == seconds
        proxy.put_forward(0.2)
        assert _unloaded(engine)
        assert _expiry(proxy) is None
        assert proxy.http.post("/api/chat", json=CHAT).json()["message"]["content"] == "Hello world"


@pytest.mark.parametrize("keep_alive", [-1, "-1m", 1e300, "99999999h"])
def test_a_model_can_be_kept_for_ever(
    engine: ScriptedEngine, unloading: ProxySettings, keep_alive: float | str
) -> None:
    """Ollama shows a date three centuries ahead."""
    proxy = RunningProxy(unloading)
    proxy.clock = _TickingClock()
    with proxy:
        proxy.http.post("/api/chat", json=CHAT | {"keep_alive": keep_alive})
        proxy.put_forward(10**7)
        assert _unloaded(engine, OTHER_MODEL)
        assert _expiry(proxy) == math.inf

    assert engine.status_of[MODEL] == "loaded"


def test_each_use_begins_the_time_again_and_keeps_what_an_earlier_request_asked_for(
    engine: ScriptedEngine, unloading: ProxySettings
) -> None:
    """As in Ollama: a request without ``keep_alive`` doesn't change it."""
    proxy = RunningProxy(unloading)
    proxy.clock = _TickingClock()
    with proxy:
        proxy.http.post("/api/chat", json=CHAT | {"keep_alive": "1h"})
        proxy.put_forward(3000)
        proxy.http.post("/v1/chat/completions", json=CHAT)
        assert _expiry(proxy) == 3000 + 3600
        proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": "1m"})
        proxy.put_forward(61)
        assert _unloaded(engine)
        # What was asked for before doesn't hold for a model that was loaded again.
        proxy.http.post("/api/chat", json=CHAT)
        assert _expiry(proxy) == 3061 + 300


def test_a_model_in_use_is_never_unloaded(engine: ScriptedEngine, unloading: ProxySettings) -> None:
    """Its time begins when the last of its requests ends, even if one asked for 0 meanwhile."""
    released = threading.Event()
    engine.chat(_held(released))
    proxy = RunningProxy(unloading)
    proxy.clock = _TickingClock()
    with proxy, ThreadPoolExecutor(1) as pool:
        running = pool.submit(proxy.http.post, "/api/chat", json=CHAT | {"stream": True})
        proxy.put_forward_in_silence(engine, 5)
        proxy.http.post("/api/embed", json=EMBED | {"keep_alive": 0})
        proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
        assert _expiry(proxy) == 5
        assert engine.calls("/v1/models/unload") == []
        released.set()
        assert running.result().status_code == 200
        assert _unloaded(engine)


def test_nothing_expires_unless_the_settings_allow_it(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Other programs share the engine then."""
    proxy.http.post("/api/chat", json=CHAT | {"keep_alive": 1})
    assert _expiry(proxy) == math.inf
    proxy.put_forward(10**6)
    assert _expiry(proxy) == math.inf
    assert engine.calls("/v1/models/unload") == []


@pytest.mark.parametrize(
    "failed",
    [
        json_reply({"message": "busy"}, 500),
        json_reply({"model_id": MODEL, "status": "no_loader_config"}),
        json_reply({"model_id": MODEL, "status": "internal_error", "error": "poisoned"}),
        json_reply([]),
    ],
)
def test_an_unload_that_fails_is_repeated_later(
    engine: ScriptedEngine, unloading: ProxySettings, failed: Reply
) -> None:
    """Not at once, since the engine has to do other things, too."""

    def busy_at_first(request: Received) -> Reply:
        if len(engine.calls("/v1/models/unload")) == 1:
            return failed
        engine.status_of[request.json["model_id"]] = "unloaded"
        return json_reply({"model_id": MODEL, "status": "unloaded"})

    engine.on("/v1/models/unload", busy_at_first)
    with RunningProxy(unloading) as proxy:
        proxy.http.post("/api/chat", json=CHAT | {"keep_alive": 0})
        assert eventually(lambda: len(engine.calls("/v1/models/unload")) == 1)
        proxy.put_forward(59)
        proxy.probe()
        assert len(engine.calls("/v1/models/unload")) == 1
        proxy.put_forward(2)
        assert _unloaded(engine)


def test_the_model_that_was_not_used_for_longest_makes_room(
    engine: ScriptedEngine, unloading: ProxySettings
) -> None:
    """No more than the allowed number are loaded; each request is answered."""
    engine.status_of["third"] = "unloaded"
    with RunningProxy(replace(unloading, max_loaded_models=2)) as proxy:
        for name in (OTHER_MODEL, MODEL, "third"):
            assert proxy.http.post("/api/chat", json=CHAT | {"model": name}).status_code == 200
        assert engine.status_of == {MODEL: "loaded", OTHER_MODEL: "unloaded", "third": "loaded"}
        assert proxy.http.post("/api/chat", json=OTHER_CHAT).status_code == 200

    assert engine.status_of == {MODEL: "unloaded", OTHER_MODEL: "loaded", "third": "loaded"}


def test_a_model_waits_for_room_and_those_after_it_wait_too(
    engine: ScriptedEngine, unloading: ProxySettings
) -> None:
    """A model that is always in use can't keep another one out."""
    engine.status_of[OTHER_MODEL] = "unloaded"
    released = threading.Event()
    engine.chat(_held(released))
    with (
        RunningProxy(replace(unloading, max_loaded_models=1)) as proxy,
        ThreadPoolExecutor(3) as pool,
    ):
        first = pool.submit(proxy.http.post, "/api/chat", json=CHAT | {"stream": True})
        assert eventually(lambda: len(engine.calls()) == 1)
        other = pool.submit(proxy.http.post, "/api/chat", json=OTHER_CHAT | {"stream": True})
        assert proxy.counted("mistral_running_requests", 2)
        again = pool.submit(proxy.http.post, "/api/chat", json=CHAT | {"stream": True})
        assert proxy.counted("mistral_running_requests", 3)
        assert len(engine.calls()) == 1
        released.set()
        assert {call.result().status_code for call in (first, other, again)} == {200}

    assert [call.json["model"] for call in engine.calls()] == [MODEL, OTHER_MODEL, MODEL]


def test_a_model_that_finds_no_room_is_a_503(
    engine: ScriptedEngine, unloading: ProxySettings
) -> None:
    """After the time that a model may take to load."""
    engine.status_of[OTHER_MODEL] = "unloaded"
    released = threading.Event()
    settings = replace(
        unloading,
        max_loaded_models=1,
        engine_reply_timeout_seconds=3600,
        engine_silence_timeout_seconds=86400,
    )
    engine.chat(_held(released))
    with RunningProxy(settings) as proxy, ThreadPoolExecutor(2) as pool:
        first = pool.submit(proxy.http.post, "/api/chat", json=CHAT | {"stream": True})
        assert eventually(lambda: len(engine.calls()) == 1)
        other = pool.submit(proxy.http.post, "/api/chat", json=OTHER_CHAT)
        assert proxy.counted("mistral_running_requests", 2)
        proxy.put_forward(1800)
        assert not other.done()
        proxy.put_forward(1800)
        assert other.result().status_code == 503
        released.set()
        assert first.result().status_code == 200

    assert "OLLAMA_MAX_LOADED_MODELS" in other.result().json()["error"]
    assert other.result().headers["retry-after"] == "5"


@pytest.mark.parametrize("message", ["CUDA out of memory", "failed to allocate 3 GB", "no Memory"])
def test_a_model_that_does_not_fit_takes_the_place_of_an_idle_one(
    engine: ScriptedEngine, unloading: ProxySettings, message: str
) -> None:
    """The engine says so only when it tries."""
    engine.status_of[OTHER_MODEL] = "unloaded"

    def reload(_: Received) -> Reply:
        if engine.status_of[MODEL] == "loaded":
            failed = {"model_id": OTHER_MODEL, "status": "internal_error", "error": message}
            return json_reply(failed)
        engine.status_of[OTHER_MODEL] = "loaded"
        return json_reply({"model_id": OTHER_MODEL, "status": "loaded"})

    engine.on("/v1/models/reload", reload)
    with RunningProxy(unloading) as proxy:
        assert proxy.http.post("/api/chat", json=OTHER_CHAT).status_code == 200

    assert engine.status_of == {MODEL: "unloaded", OTHER_MODEL: "loaded"}


@pytest.mark.parametrize("message", ["out of memory", "no such file"])
def test_a_model_that_never_loads_is_an_error(
    engine: ScriptedEngine, unloading: ProxySettings, message: str
) -> None:
    """Idle models are unloaded for it only if the reason is memory."""
    engine.status_of[OTHER_MODEL] = "unloaded"
    failed = {"model_id": OTHER_MODEL, "status": "internal_error", "error": message}
    engine.on("/v1/models/reload", json_reply(failed))
    with RunningProxy(unloading) as proxy:
        reply = proxy.http.post("/api/chat", json=OTHER_CHAT)

    assert reply.status_code == 503
    assert message in reply.json()["error"]
    assert engine.status_of[MODEL] == ("unloaded" if "memory" in message else "loaded")


def test_a_model_that_is_used_while_another_one_loads_is_kept(
    engine: ScriptedEngine, unloading: ProxySettings
) -> None:
    """It expired in the meantime, but unloads wait for loads."""
    engine.status_of[OTHER_MODEL] = "unloaded"
    loaded = threading.Event()

    def reload(_: Received) -> Reply:
        engine.status_of[OTHER_MODEL] = "loaded"
        text = json.dumps({"model_id": OTHER_MODEL, "status": "loaded"}).encode()
        return Reply((loaded, text), length=False)

    engine.on("/v1/models/reload", reload)
    proxy = RunningProxy(unloading)
    proxy.clock = _TickingClock()
    with proxy, ThreadPoolExecutor(1) as pool:
        proxy.http.post("/api/chat", json=CHAT | {"keep_alive": 4})
        other = pool.submit(proxy.http.post, "/api/chat", json=OTHER_CHAT)
        proxy.put_forward_in_silence(engine, 5, path="/v1/models/reload")
        proxy.http.post("/api/chat", json=CHAT | {"keep_alive": -1})
        loaded.set()
        assert other.result().status_code == 200
        proxy.put_forward(1)
        assert _expiry(proxy) == math.inf

    assert engine.calls("/v1/models/unload") == []


def test_a_load_goes_on_when_its_client_leaves(
    engine: ScriptedEngine, unloading: ProxySettings
) -> None:
    """The next request for the model waits for its end; Mistral.rs would lose the model else."""
    engine.status_of[OTHER_MODEL] = "unloaded"
    loaded = threading.Event()

    def reload(_: Received) -> Reply:
        engine.status_of[OTHER_MODEL] = "loaded"
        text = json.dumps({"model_id": OTHER_MODEL, "status": "loaded"}).encode()
        return Reply((loaded, text), length=False)

    engine.on("/v1/models/reload", reload)
    with RunningProxy(unloading) as proxy, ThreadPoolExecutor(1) as pool:
        with Client(proxy) as client:
            client.send(request(json.dumps(OTHER_CHAT).encode(), path="/api/chat"))
            assert eventually(lambda: bool(engine.calls("/v1/models/reload")))
        assert proxy.counted("mistral_http_requests_total", 1, endpoint="chat", status="cancelled")
        engine.status_of[OTHER_MODEL] = "unloaded"
        chat = pool.submit(proxy.http.post, "/api/chat", json=OTHER_CHAT)
        assert proxy.counted("mistral_running_requests", 1)
        engine.status_of[OTHER_MODEL] = "loaded"
        loaded.set()
        assert chat.result().status_code == 200

    assert len(engine.calls("/v1/models/reload")) == 1


def test_an_unload_goes_on_when_its_client_leaves(
    engine: ScriptedEngine, unloading: ProxySettings
) -> None:
    """The next request for the model waits for its end, and loads it again."""
    unloaded = threading.Event()

    def unload(_: Received) -> Reply:
        engine.status_of[MODEL] = "unloaded"
        text = json.dumps({"model_id": MODEL, "status": "unloaded"}).encode()
        return Reply((unloaded, text), length=False)

    engine.on("/v1/models/unload", unload)
    with RunningProxy(unloading) as proxy, ThreadPoolExecutor(1) as pool:
        body = json.dumps({"model": MODEL, "keep_alive": 0}).encode()
        with Client(proxy) as client:
            client.send(request(body, path="/api/generate"))
            assert eventually(lambda: bool(engine.calls("/v1/models/unload")))
        assert proxy.counted(
            "mistral_http_requests_total", 1, endpoint="generate", status="cancelled"
        )
        chat = pool.submit(proxy.http.post, "/api/chat", json=CHAT)
        assert proxy.counted("mistral_running_requests", 1)
        assert engine.calls() == []
        unloaded.set()
        assert chat.result().json()["load_duration"] > 0


@pytest.mark.parametrize(
    "failed",
    [
        json_reply({"message": "busy"}, 500),
        json_reply({"model_id": MODEL, "status": "not_found"}),
    ],
)
def test_a_model_that_cannot_be_unloaded_does_not_fail_the_load_of_another(
    engine: ScriptedEngine, unloading: ProxySettings, failed: Reply
) -> None:
    """The engine may have room all the same."""
    engine.status_of[OTHER_MODEL] = "unloaded"
    engine.on("/v1/models/unload", failed)
    with RunningProxy(replace(unloading, max_loaded_models=1)) as proxy:
        assert proxy.http.post("/api/chat", json=OTHER_CHAT).status_code == 200


def _with_adapter(engine: ScriptedEngine) -> Reply:
    """Return a list of models as Mistral.rs 0.9.2 sends it, with a LoRA adapter of the first."""
    entries = [{"id": name, "status": status} for name, status in engine.status_of.items()]
    adapter = {"id": f"{MODEL}::code", "root": "code", "parent": MODEL, "status": "loaded"}
    return json_reply({"object": "list", "data": [*entries, adapter]})


def test_a_lora_adapter_is_a_model_for_which_its_base_is_loaded(
    engine: ScriptedEngine, unloading: ProxySettings
) -> None:
    """It is listed under its own name, keeps its base loaded, and is never unloaded itself."""
    engine.on("/v1/models", lambda _: _with_adapter(engine))
    proxy = RunningProxy(unloading)
    proxy.clock = _TickingClock()
    with proxy:
        assert proxy.http.post("/api/chat", json=CHAT | {"model": "code"}).status_code == 200
        assert engine.calls()[0].json["model"] == f"{MODEL}::code"
        assert _expiry(proxy, "code") == _expiry(proxy) == 300
        proxy.put_forward(200)
        proxy.http.post("/api/chat", json=CHAT | {"model": "code", "keep_alive": 400})
        proxy.put_forward(399)
        assert _expiry(proxy, "code") == _expiry(proxy) == 600
        proxy.put_forward(2)
        assert _unloaded(engine)
        proxy.put_forward(1000)
        assert proxy.http.post("/api/chat", json=CHAT | {"model": "code"}).status_code == 200
        assert engine.status_of[MODEL] == "loaded"

    unloads = [call.json["model_id"] for call in engine.calls("/v1/models/unload")]
    assert sorted(unloads) == sorted([MODEL, OTHER_MODEL])
