"""The metrics of the engine: its readiness, its models, and the time that it takes."""

import threading
import time
from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.metrics import MODEL_LIMIT
from proxy_service.telemetry.metrics import OTHER_MODEL as OTHER_LABEL
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    OTHER_MODEL,
    USAGE,
    ScriptedEngine,
    delta_event,
    stream,
)
from tests.proxy.telemetry.counting import HELLO, LAST_SUCCESS, UPSTREAM, WHOLE


def test_a_load_is_recorded_only_when_the_engine_loads(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """A model that is loaded adds no sample; a reload through the proxy adds one."""
    loads = "mistral_model_load_duration_seconds_count"
    proxy.http.post("/api/chat", json=WHOLE)
    assert proxy.idle().value(loads, model=MODEL) == 0

    engine.status_of[MODEL] = "unloaded"
    proxy.probe()
    response = proxy.http.post("/api/chat", json=WHOLE)

    assert response.json()["load_duration"] > 0
    assert proxy.idle().value(loads, model=MODEL) == 1
    assert [call.json for call in engine.calls("/v1/models/reload")] == [{"model_id": MODEL}]


def test_a_model_that_the_engine_no_longer_lists_is_not_loaded(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Its series stays, with the value 0."""
    proxy.probe()
    assert proxy.scrape().value("mistral_model_loaded", model=OTHER_MODEL) == 1
    del engine.status_of[OTHER_MODEL]
    proxy.probe()
    scrape = proxy.scrape()

    assert scrape.value("mistral_model_loaded", model=OTHER_MODEL) == 0
    assert scrape.value("mistral_model_loaded", model=MODEL) == 1


@pytest.mark.parametrize("position", [0, 1, 2])
def test_the_models_beyond_the_limit_are_loaded_if_one_of_them_is(
    engine: ScriptedEngine, proxy: RunningProxy, position: int
) -> None:
    """Whichever it is, and until it is unloaded."""
    first = [f"model-{i}" for i in range(MODEL_LIMIT)]
    others = [f"other-{i}" for i in range(3)]
    loaded = "mistral_model_loaded"

    engine.status_of = dict.fromkeys([*first, *others], "unloaded")
    proxy.probe()
    assert proxy.scrape().value(loaded, model=OTHER_LABEL) == 0
    engine.status_of[others[position]] = "loaded"
    proxy.probe()
    scrape = proxy.scrape()
    assert scrape.value(loaded, model=OTHER_LABEL) == 1
    assert sum(scrape.value(loaded, model=name) for name in first) == 0
    del engine.status_of[others[position]]
    proxy.probe()
    assert proxy.scrape().value(loaded, model=OTHER_LABEL) == 0


def test_no_model_is_loaded_while_the_engine_is_down(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    proxy.probe()
    engine.stop()
    proxy.probe()
    scrape = proxy.scrape()

    for name in (MODEL, OTHER_MODEL):
        assert scrape.samples["mistral_model_loaded", frozenset({("model", name)})] == 0


def test_the_time_in_the_engine_is_measured_apart_from_the_proxys_own(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Waiting for the head of the engine's reply counts, and for the rest of its stream."""
    go_on = threading.Event()
    engine.chat(stream(delta_event("a"), go_on, delta_event("", finish="stop", usage=USAGE), DONE))

    with proxy.http.stream("POST", "/api/chat", json=HELLO) as response:
        parts = response.iter_bytes()
        next(parts)
        proxy.put_forward_in_silence(engine, 5)
        go_on.set()
        b"".join(parts)
    scrape = proxy.idle()

    waited = scrape.value(f"{UPSTREAM}_sum", operation="chat")
    took = scrape.value("mistral_http_request_duration_seconds_sum", endpoint="chat")
    first = scrape.value("mistral_time_to_first_token_seconds_sum", model=MODEL)
    assert scrape.value(f"{UPSTREAM}_count", operation="chat") == 1
    assert 5 <= waited < took
    assert first <= took - 5


@pytest.mark.parametrize(
    ("path", "body", "operation"),
    [
        ("/api/generate", {"model": MODEL, "prompt": "hi", "raw": True}, "completions"),
        ("/api/embed", {"model": MODEL, "input": "hi"}, "embeddings"),
        ("/v1/chat/completions", HELLO, "chat"),
        ("/v1/responses", {"model": MODEL, "input": "hi"}, "responses"),
    ],
)
def test_the_operation_of_the_engine_is_a_label(
    proxy: RunningProxy, path: str, body: dict[str, object], operation: str
) -> None:
    """Also if the engine has no such path, as in the last case."""
    proxy.http.post(path, json=body)

    assert proxy.idle().value(f"{UPSTREAM}_count", operation=operation) == 1


def test_a_failed_probe_keeps_the_time_of_the_last_success(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """So that its age can be computed."""
    before = time.time()
    proxy.probe()
    answered = proxy.scrape()
    engine.stop()
    proxy.probe()
    gone = proxy.scrape()

    assert before <= answered.value(LAST_SUCCESS) <= time.time()
    assert answered.value("mistral_upstream_up") == 1
    assert gone.value("mistral_upstream_up") == 0
    assert gone.value(LAST_SUCCESS) == answered.value(LAST_SUCCESS)


def test_an_engine_that_never_answered_has_a_last_success_of_0(settings: ProxySettings) -> None:
    with RunningProxy(replace(settings, engine_url="http://127.0.0.1:9")) as proxy:
        proxy.probe()
        assert proxy.scrape().value(LAST_SUCCESS) == 0
