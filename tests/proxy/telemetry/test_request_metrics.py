"""The metrics of requests, against what clients and engines really did."""

import json
import re
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from proxy_service.routes.probes import PROBE_PATHS
from proxy_service.routes.table import ROUTES
from proxy_service.server.access import WrongKeys
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.metrics import ENDPOINTS
from tests.processes import free_port
from tests.proxy.running import TIMEOUT_SECONDS, RunningProxy, eventually
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    Reply,
    ScriptedEngine,
    Step,
    completion,
    delta_event,
    event,
    json_reply,
    stream,
)
from tests.proxy.telemetry.counting import (
    CHUNKS,
    ERRORS,
    GENERATED,
    HELLO,
    REQUESTS,
    STREAMS,
    TOKENS,
    UPSTREAM,
    WHOLE,
    named,
    outcomes,
)

# The setting of the fixture `settings`.
SILENCE_SECONDS = 10


@pytest.mark.parametrize("body", [b"{", b"", b'{"model":""}'], ids=["cut", "empty", "no model"])
def test_a_bad_request_is_the_clients_error(proxy: RunningProxy, body: bytes) -> None:
    """It never counts in the error ratio."""
    assert proxy.http.post("/api/chat", content=body).status_code == 400
    assert outcomes(proxy.idle()) == {"client_error": 1}


def test_a_running_stream_is_active_and_not_yet_counted(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Its tokens are counted while it runs."""
    go_on = threading.Event()
    engine.chat(
        stream(
            delta_event("a"),
            delta_event("b"),
            go_on,
            delta_event("", finish="stop", usage=USAGE),
            DONE,
        )
    )

    with proxy.http.stream("POST", "/api/chat", json=HELLO) as response:
        parts = response.iter_bytes()
        next(parts)
        assert proxy.counted(TOKENS, 2, model=MODEL)
        during = proxy.scrape()
        go_on.set()
        b"".join(parts)

    assert during.value("mistral_active_requests") == 1
    assert outcomes(during) == {}
    assert outcomes(proxy.idle()) == {"success": 1}


def test_sixty_streams_are_sixty_active_requests(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """All of them count while they run, and none afterwards."""
    go_on = threading.Event()
    engine.chat(stream(delta_event("a"), go_on, delta_event("", finish="stop", usage=USAGE), DONE))
    limits = httpx.Limits(max_connections=60)
    with httpx.Client(base_url=proxy.url, limits=limits, timeout=30, trust_env=False) as client:

        def chat() -> None:
            client.post("/api/chat", json=HELLO)

        threads = [threading.Thread(target=chat) for _ in range(60)]
        for thread in threads:
            thread.start()
        assert eventually(lambda: proxy.scrape().value("mistral_active_requests") == 60)
        go_on.set()
        for thread in threads:
            thread.join()

    assert outcomes(proxy.idle()) == {"success": 60}


def test_every_route_counts_its_requests_whatever_their_outcome(proxy: RunningProxy) -> None:
    """Also those without a model, and those whose bodies are invalid."""
    sent: Counter[str] = Counter()
    for route in ROUTES:
        if route.path in PROBE_PATHS:
            continue
        for method in route.methods:
            body = None if method in ("GET", "HEAD") else b"{"
            proxy.http.request(method, re.sub("<[^>]*>", "x", route.path), content=body)
            sent[route.endpoint] += 1
    scrape = proxy.idle()

    took = "mistral_http_request_duration_seconds_count"
    for endpoint in ENDPOINTS:
        counted = outcomes(scrape, endpoint)
        assert sum(counted.values()) == sent[endpoint], endpoint
        assert scrape.value(took, endpoint=endpoint) == sent[endpoint]
        assert counted.keys() <= {"success", "client_error", "error"}


def test_probes_are_not_counted(proxy: RunningProxy) -> None:
    """Neither health checks nor scrapes nor the preflights of browsers."""
    before = proxy.scrape()
    paths = ("/livez", "/readyz", "/health", "/metrics", "/api/metrics")
    for path in ("/", *paths, *(f"{path}/" for path in paths)):
        for _ in range(10):
            proxy.http.get(path)
        proxy.http.head(path)
    for path in ("/", "/api/chat", "/nowhere"):
        proxy.http.options(path)
        proxy.http.options(path, headers={"Origin": "http://localhost"})
    after = proxy.scrape()

    for name in (REQUESTS, "mistral_http_request_duration_seconds_count"):
        assert {k: v for k, v in after.samples.items() if k[0] == name} == {
            k: v for k, v in before.samples.items() if k[0] == name
        }
    assert after.value("mistral_active_requests") == 0


def test_an_incomplete_upload_counts_for_its_endpoint(proxy: RunningProxy) -> None:
    """As cancelled: the path is known, and only the body never arrived."""
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head + b'{"model":')
        assert proxy.counted("mistral_active_requests", 1)
    scrape = proxy.idle()

    assert outcomes(scrape) == {"cancelled": 1}
    assert outcomes(scrape, "unmatched") == {}


def disconnect_while_waiting(proxy: RunningProxy, body: bytes, until: threading.Event) -> None:
    """Send a request, wait for `until`, and disconnect without a response."""
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert until.wait(TIMEOUT_SECONDS)


@pytest.mark.parametrize("padding", [0, 300_000], ids=["short", "long"])
def test_a_client_that_disconnects_while_waiting_is_cancelled(
    engine: ScriptedEngine, proxy: RunningProxy, padding: int
) -> None:
    """Also after a body that filled the proxy's buffer."""
    arrived = threading.Event()

    def stall(_: object) -> Reply:
        arrived.set()
        return stream(Step.STALL)

    engine.chat(stall)
    disconnect_while_waiting(
        proxy, json.dumps(WHOLE | {"padding": "x" * padding}).encode(), arrived
    )

    assert engine.calls()[0].gone.wait(TIMEOUT_SECONDS)
    assert outcomes(proxy.idle()) == {"cancelled": 1}


def test_a_client_that_disconnects_during_a_stream_is_cancelled(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """It isn't an error, it has no generation time, and the engine's connection is closed."""
    engine.chat(stream(*[delta_event("x")] * 5, Step.STALL))

    with proxy.http.stream("POST", "/api/chat", json=HELLO) as response:
        parts = response.iter_bytes()  # in a variable, since the stream closes with its iterator
        next(parts)
        assert proxy.counted(CHUNKS, 5, endpoint="chat")

    assert engine.calls()[0].gone.wait(TIMEOUT_SECONDS)
    scrape = proxy.idle()
    assert outcomes(scrape) == {"cancelled": 1}
    assert scrape.value(STREAMS, endpoint="chat", outcome="client_disconnected") == 1
    assert scrape.value(GENERATED, model=MODEL) == 0
    assert scrape.value("mistral_generations_total", model=MODEL, finish_reason="cancelled") == 1
    assert scrape.value(TOKENS, model=MODEL) == 5


def test_a_client_that_disconnects_after_the_last_line_counts_as_success(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Although its `keep_alive` of 0 unloads the model afterwards."""
    unloading = threading.Event()
    engine.on("/v1/models/unload", Reply((unloading, b"{}")))
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        body = HELLO | {"keep_alive": 0}
        with httpx.stream("POST", f"{proxy.url}/api/chat", json=body, trust_env=False) as response:
            lines = list(response.iter_lines())
        assert eventually(lambda: len(engine.calls("/v1/models/unload")) == 1)
        scrape = proxy.idle()
        unloading.set()

    assert json.loads(lines[-1])["done"] is True
    assert outcomes(scrape) == {"success": 1}
    assert scrape.value(STREAMS, endpoint="chat", outcome="completed") == 1


def test_a_client_of_v1_that_disconnects_after_done_counts_as_success(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """The engine can be slow to close a stream after `[DONE]`."""
    engine.chat(
        stream(delta_event("x"), delta_event("", finish="stop", usage=USAGE), DONE, Step.STALL)
    )

    with proxy.http.stream(
        "POST", "/v1/chat/completions", json=HELLO | {"stream": True}
    ) as response:
        for line in response.iter_lines():
            if line == "data: [DONE]":
                break

    assert outcomes(proxy.idle(), "v1_chat_completions") == {"success": 1}


def test_an_error_whose_client_did_not_wait_for_it_is_only_counted_as_cancelled(
    settings: ProxySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request has one outcome: the errors add up to the requests with status error.

    The refusal of a wrong key waits, and the client doesn't.
    """
    monkeypatch.setattr(WrongKeys, "wait_seconds", lambda *_: 1e6)
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: wrong\r\n\r\n"
    with RunningProxy(replace(settings, api_keys=("a" * 20,))) as proxy:
        proxy.http.headers["X-Api-Key"] = "a" * 20
        with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
            connection.sendall(head)
            assert proxy.counted("mistral_active_requests", 1)
        scrape = proxy.idle()

    assert outcomes(scrape, "unmatched") == {"cancelled": 1}
    assert sum(value for (name, _), value in scrape.samples.items() if name == ERRORS) == 0


def test_a_request_that_waits_for_the_response_before_it_is_not_counted(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """The client reads nothing, so the second request isn't begun."""
    engine.chat(completion("y" * 16_000_000))
    body = json.dumps(WHOLE).encode()
    request = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        connection.sendall((request.encode() + body) * 2)
        assert proxy.counted(REQUESTS, 1, endpoint="chat", status="success")
    scrape = proxy.idle()

    assert outcomes(scrape) == {"success": 1}
    assert len(engine.calls()) == 1


def test_a_stream_that_the_engine_cuts_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Although its status was 200."""
    engine.chat(stream(delta_event("a"), delta_event("b"), delta_event("c"), Step.CUT))

    response = proxy.http.post("/api/chat", json=HELLO)
    scrape = proxy.idle()

    assert response.status_code == 200
    assert outcomes(scrape) == {"error": 1}
    assert scrape.value(STREAMS, endpoint="chat", outcome="upstream_error") == 1
    assert scrape.value(ERRORS, endpoint="chat", error_type="stream_interrupted") == 1
    assert scrape.value("mistral_generations_total", model=MODEL, finish_reason="error") == 1
    assert scrape.value(GENERATED, model=MODEL) == 0


def test_an_engine_that_is_down_is_an_error_and_shows_as_down(settings: ProxySettings) -> None:
    """Refused connections are reported at once."""
    with RunningProxy(replace(settings, engine_url=f"http://127.0.0.1:{free_port()}")) as proxy:
        response = proxy.http.post("/api/chat", json=HELLO)
        scrape = proxy.idle()

    assert response.status_code == 503
    assert "MISTRAL_URL" in response.json()["error"]
    assert outcomes(scrape) == {"error": 1}
    assert scrape.value(ERRORS, endpoint="chat", error_type="upstream_connect") == 1
    assert scrape.value("mistral_upstream_up") == 0


def response_after_silence(engine: ScriptedEngine, proxy: RunningProxy) -> httpx.Response:
    """Send a chat, and let more time pass than the engine may be silent."""
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(proxy.http.post, "/api/chat", json=HELLO)
        proxy.put_forward_in_silence(engine, SILENCE_SECONDS + 1)
        return sent.result()


@pytest.mark.parametrize("before", [(), (delta_event("a"),)], ids=["first byte", "mid-stream"])
def test_an_engine_that_falls_silent_is_a_timeout(
    engine: ScriptedEngine, proxy: RunningProxy, before: tuple[bytes, ...]
) -> None:
    """An error type of its own, never "cancelled"."""
    engine.chat(stream(*before, Step.STALL))
    response = response_after_silence(engine, proxy)
    scrape = proxy.idle()

    assert response.status_code == (200 if before else 504)
    assert "ENGINE_SILENCE_TIMEOUT" in response.text
    assert outcomes(scrape) == {"error": 1}
    assert scrape.value(ERRORS, endpoint="chat", error_type="upstream_timeout") == 1
    assert scrape.value(STREAMS, endpoint="chat", outcome="timeout") == 1
    took = scrape.value("mistral_http_request_duration_seconds_sum", endpoint="chat")
    assert took >= SILENCE_SECONDS
    assert scrape.value(f"{UPSTREAM}_sum", operation="chat") >= SILENCE_SECONDS


def test_an_error_event_within_a_v1_stream_is_an_interrupted_stream(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """It is passed on unchanged."""
    events = delta_event("a") + event({"error": {"message": "out of memory"}}) + DONE
    engine.chat(stream(events))

    response = proxy.http.post("/v1/chat/completions", json=HELLO | {"stream": True})
    scrape = proxy.idle()

    endpoint = "v1_chat_completions"
    assert response.content == events
    assert outcomes(scrape, endpoint) == {"error": 1}
    assert scrape.value(STREAMS, endpoint=endpoint, outcome="upstream_error") == 1
    assert scrape.value(ERRORS, endpoint=endpoint, error_type="stream_interrupted") == 1


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        (
            "/v1/responses",
            named("response.failed", {"response": {"error": {"message": "out of memory"}}}),
        ),
        ("/v1/responses", named("error", {"message": "out of memory"})),
        ("/v1/messages", named("error", {"error": {"message": "out of memory"}})),
    ],
    ids=["response.failed", "responses error", "messages error"],
)
def test_an_event_that_reports_a_failure_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, failure: bytes
) -> None:
    """The APIs that name their events have names for it. The bytes are passed on unchanged."""
    events = named("response.output_text.delta", {"delta": "a"}) + failure
    endpoint = path[1:].replace("/", "_")
    engine.on(path, stream(events))
    body = {"model": MODEL, "input": "hi", "stream": True}
    response = proxy.http.post(path, json=body)
    scrape = proxy.idle()

    assert response.content.startswith(events)
    assert outcomes(scrape, endpoint) == {"error": 1}
    assert scrape.value(STREAMS, endpoint=endpoint, outcome="upstream_error") == 1

    engine.on(path, stream(failure))
    response = proxy.http.post(path, json=body)

    assert response.status_code == 500
    assert response.json()["error"]["message"] == "out of memory"


def test_a_whole_response_that_failed_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """It is passed on unchanged, with the engine's 200."""
    engine.on("/v1/responses", json_reply({"object": "response", "status": "failed"}))
    response = proxy.http.post("/v1/responses", json={"model": MODEL, "input": "hi"})

    assert response.json()["status"] == "failed"
    assert outcomes(proxy.idle(), "v1_responses") == {"error": 1}
