"""The metrics against what really happened: black-box checks through real sockets."""

import json
import re
import socket
import threading
import time
from collections import Counter
from dataclasses import replace

import httpx
import pytest

from proxy_service.errors import EngineTimeout
from proxy_service.routes.housekeeping import HOUSEKEEPING_PATHS
from proxy_service.routes.table import ROUTES
from proxy_service.settings import ProxySettings
from proxy_service.telemetry.metrics import ENDPOINTS, HTTP_BUCKETS, STATUSES, ProxyMetrics
from proxy_service.telemetry.record import RequestRecord
from tests.proxy.running import Exposition, RunningProxy, eventually
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    OTHER_MODEL,
    USAGE,
    Reply,
    ScriptedEngine,
    Step,
    chunk,
    event,
    json_reply,
    stream,
    words,
)

HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
WHOLE = HELLO | {"stream": False}
REQUIRED = {
    "mistral_http_requests": "counter",
    "mistral_http_request_duration_seconds": "histogram",
    "mistral_active_requests": "gauge",
    "mistral_generate_duration_seconds": "histogram",
    "mistral_generate_tokens": "counter",
    "mistral_streaming_chunks": "counter",
    "mistral_model_load_duration_seconds": "histogram",
}
REQUESTS = "mistral_http_requests_total"
CHUNKS = "mistral_streaming_chunks_total"
TOKENS = "mistral_generate_tokens_total"
STREAMS = "mistral_streams_total"
ERRORS = "mistral_request_errors_total"
UPSTREAM = "mistral_upstream_request_duration_seconds"
LAST_SUCCESS = "mistral_upstream_last_success_timestamp_seconds"
FIRST_TOKEN = "mistral_time_to_first_token_seconds_count"
GENERATED = "mistral_generate_duration_seconds_count"


def requests(scrape: Exposition, endpoint: str = "chat") -> dict[str, float]:
    """Non-zero request counts of an endpoint by status."""
    counts = {s: scrape.value(REQUESTS, endpoint=endpoint, status=s) for s in STATUSES}
    return {status: count for status, count in counts.items() if count}


def named(name: str, value: dict[str, object]) -> bytes:
    """An event with a name, as the Responses and Messages APIs have them."""
    return f"event: {name}\n".encode() + event({"type": name} | value)


def usage(completion_tokens: int) -> dict[str, object]:
    return USAGE | {"completion_tokens": completion_tokens}


def test_all_families_exist_at_zero_before_any_traffic(proxy: RunningProxy) -> None:
    """Every series an alert needs is there from the first scrape."""
    scrape = proxy.scrape()

    kinds = {family.name: family.type for family in scrape.families}
    assert {name: kinds.get(name) for name in REQUIRED} == REQUIRED
    for endpoint in ENDPOINTS:
        for status in STATUSES:
            key = (REQUESTS, frozenset({("endpoint", endpoint), ("status", status)}))
            assert scrape.samples[key] == 0
    assert scrape.value("mistral_active_requests") == 0


def test_housekeeping_is_no_traffic(proxy: RunningProxy) -> None:
    """Health checks, scrapes and what browsers ask beforehand count nowhere."""
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


def test_a_whole_chat_counts_tokens_and_no_chunks(proxy: RunningProxy) -> None:
    proxy.http.post("/api/chat", json=WHOLE)
    scrape = proxy.idle()

    assert requests(scrape) == {"success": 1}
    assert scrape.value(TOKENS, model=MODEL) == 18
    assert scrape.value("mistral_prompt_tokens_total", model=MODEL) == 11
    assert scrape.value(CHUNKS, endpoint="chat") == 0
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 0
    assert scrape.value(GENERATED, model=MODEL) == 1


def test_a_streamed_chat_counts_each_delta_once(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """20 deltas are 20 chunks and 20 tokens, with one first token."""
    engine.chat(words(*["x"] * 20, usage=usage(20)))

    proxy.http.post("/api/chat", json=HELLO)
    scrape = proxy.idle()

    assert scrape.value(CHUNKS, endpoint="chat") == 20
    assert scrape.value(TOKENS, model=MODEL) == 20
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 1
    assert scrape.value("mistral_time_per_output_token_seconds_count", model=MODEL) == 1
    assert scrape.value(STREAMS, endpoint="chat", outcome="completed") == 1
    assert scrape.value("mistral_generations_total", model=MODEL, finish_reason="stop") == 1


def test_a_running_stream_is_active_and_not_yet_counted(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Active 1, no finished request, tokens already there."""
    go_on = threading.Event()
    engine.chat(stream(chunk("a"), chunk("b"), go_on, chunk("", finish="stop", usage=USAGE), DONE))

    with proxy.http.stream("POST", "/api/chat", json=HELLO) as answer:
        parts = answer.iter_bytes()
        next(parts)
        assert proxy.counted(TOKENS, 2, model=MODEL)
        during = proxy.scrape()
        go_on.set()
        b"".join(parts)

    assert during.value("mistral_active_requests") == 1
    assert requests(during) == {}
    assert requests(proxy.idle()) == {"success": 1}


def test_tokens_follow_the_engines_usage(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """One event may hold several tokens."""
    engine.chat(words(*["x"] * 20, usage=usage(25)))

    proxy.http.post("/api/chat", json=HELLO)
    scrape = proxy.idle()

    assert scrape.value(CHUNKS, endpoint="chat") == 20
    assert scrape.value(TOKENS, model=MODEL) == 25


def test_empty_deltas_are_no_chunks(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Role-only and empty deltas do not count, nor open the first token."""
    text = threading.Event()
    empty = chunk(None), chunk("")
    engine.chat(stream(*empty, text, chunk("x"), chunk("", finish="stop", usage=usage(1)), DONE))

    sending = threading.Thread(target=proxy.http.post, args=["/api/chat"], kwargs={"json": HELLO})
    sending.start()
    assert eventually(lambda: any(call.silent.is_set() for call in engine.calls()))
    proxy.put_forward(5)
    text.set()
    sending.join()
    scrape = proxy.idle()

    assert scrape.value(CHUNKS, endpoint="chat") == 1
    assert scrape.value("mistral_time_to_first_token_seconds_sum", model=MODEL) > 5


def test_a_client_that_leaves_a_stream_is_cancelled_and_so_is_the_engine(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Not an error, no generation time, the engine's connection closed."""
    engine.chat(stream(*[chunk("x")] * 5, Step.STALL))

    with proxy.http.stream("POST", "/api/chat", json=HELLO) as answer:
        parts = answer.iter_bytes()  # kept: the client closes the stream when it is forgotten
        next(parts)
        assert proxy.counted(CHUNKS, 5, endpoint="chat")

    assert engine.calls()[0].gone.wait(1)
    scrape = proxy.idle()
    assert requests(scrape) == {"cancelled": 1}
    assert scrape.value(STREAMS, endpoint="chat", outcome="client_disconnected") == 1
    assert scrape.value(GENERATED, model=MODEL) == 0
    assert scrape.value("mistral_generations_total", model=MODEL, finish_reason="cancelled") == 1
    assert scrape.value(TOKENS, model=MODEL) == 5


def test_a_client_that_leaves_after_the_last_line_had_success(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Although its ``keep_alive`` of 0 has the model unloaded after that."""
    unloading = threading.Event()
    engine.on("/v1/models/unload", Reply((unloading, b"{}")))
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        body = HELLO | {"keep_alive": 0}
        with httpx.stream("POST", f"{proxy.url}/api/chat", json=body, trust_env=False) as answer:
            lines = list(answer.iter_lines())
        assert eventually(lambda: len(engine.calls("/v1/models/unload")) == 1)
        scrape = proxy.idle()
        unloading.set()

    assert json.loads(lines[-1])["done"] is True
    assert requests(scrape) == {"success": 1}
    assert scrape.value(STREAMS, endpoint="chat", outcome="completed") == 1


def test_a_client_that_leaves_v1_after_done_had_success(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """The engine may take its time to close a stream that has said ``[DONE]``."""
    engine.chat(stream(chunk("x"), chunk("", finish="stop", usage=USAGE), DONE, Step.STALL))

    with proxy.http.stream("POST", "/v1/chat/completions", json=HELLO | {"stream": True}) as answer:
        for line in answer.iter_lines():
            if line == "data: [DONE]":
                break

    assert requests(proxy.idle(), "v1_chat_completions") == {"success": 1}


@pytest.mark.parametrize(
    "failure", [{"error": {"message": "out of memory"}}, {"error": {"message": "Invalid grammar"}}]
)
def test_an_error_event_within_a_v1_stream_is_an_interrupted_stream(
    engine: ScriptedEngine, proxy: RunningProxy, failure: dict[str, object]
) -> None:
    """Whoever's fault it would have been before the 200 had left."""
    events = chunk("a") + event(failure) + DONE
    engine.chat(stream(events))

    answer = proxy.http.post("/v1/chat/completions", json=HELLO | {"stream": True})
    scrape = proxy.idle()

    endpoint = "v1_chat_completions"
    assert answer.content == events
    assert requests(scrape, endpoint) == {"error": 1}
    assert scrape.value(STREAMS, endpoint=endpoint, outcome="upstream_error") == 1
    assert scrape.value(ERRORS, endpoint=endpoint, error_type="stream_interrupted") == 1


def test_only_content_begins_and_counts_a_v1_stream(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """A role, a summary and the end of a stream are no tokens."""
    gate = threading.Event()
    last = chunk("", finish="length", usage=usage(2))
    engine.chat(stream(chunk(""), gate, chunk("a"), chunk("b"), last, DONE))
    endpoint = "v1_chat_completions"

    body = HELLO | {"stream": True}
    with proxy.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        parts = answer.iter_bytes()
        next(parts)
        assert proxy.scrape().value(CHUNKS, endpoint=endpoint) == 0
        gate.set()
        list(parts)
    scrape = proxy.idle()

    assert scrape.value(CHUNKS, endpoint=endpoint) == 2
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 1


def test_a_v1_stream_without_content_has_no_first_token(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(chunk(""), chunk("", finish="stop", usage=usage(0)), DONE))
    proxy.http.post("/v1/chat/completions", json=HELLO | {"stream": True})
    scrape = proxy.idle()

    assert requests(scrape, "v1_chat_completions") == {"success": 1}
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 0


def test_raw_text_that_comes_in_one_piece_tells_no_token_times(proxy: RunningProxy) -> None:
    """Its lines are written when the generation is over."""
    proxy.http.post("/api/generate", json={"model": MODEL, "prompt": "hi", "raw": True})
    scrape = proxy.idle()

    assert requests(scrape, "generate") == {"success": 1}
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 0
    assert scrape.value("mistral_time_per_output_token_seconds_count", model=MODEL) == 0
    assert scrape.value(GENERATED, model=MODEL) == 1


def leave_while_waiting(proxy: RunningProxy, body: bytes, until: threading.Event) -> None:
    """Send a request, wait for `until`, and hang up without an answer."""
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert until.wait(5)


@pytest.mark.parametrize("padding", [0, 300_000], ids=["short", "long"])
def test_a_client_that_leaves_while_waiting_is_cancelled(
    engine: ScriptedEngine, proxy: RunningProxy, padding: int
) -> None:
    """Also after a body that filled the server's buffer."""
    arrived = threading.Event()

    def stall(_: object) -> Reply:
        arrived.set()
        return stream(Step.STALL)

    engine.chat(stall)
    leave_while_waiting(proxy, json.dumps(WHOLE | {"padding": "x" * padding}).encode(), arrived)

    assert engine.calls()[0].gone.wait(1)
    assert requests(proxy.idle()) == {"cancelled": 1}


def test_a_stream_that_the_engine_cuts_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Although the status was 200."""
    engine.chat(stream(chunk("a"), chunk("b"), chunk("c"), Step.CUT))

    answer = proxy.http.post("/api/chat", json=HELLO)
    scrape = proxy.idle()

    assert answer.status_code == 200
    assert requests(scrape) == {"error": 1}
    assert scrape.value(STREAMS, endpoint="chat", outcome="upstream_error") == 1
    assert scrape.value(ERRORS, endpoint="chat", error_type="stream_interrupted") == 1
    assert scrape.value("mistral_generations_total", model=MODEL, finish_reason="error") == 1
    assert scrape.value(GENERATED, model=MODEL) == 0


def test_an_engine_that_is_away_is_an_error_and_shows_as_down(settings: ProxySettings) -> None:
    """Refused connections are told at once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with RunningProxy(replace(settings, engine_url=f"http://127.0.0.1:{port}")) as proxy:
        answer = proxy.http.post("/api/chat", json=HELLO)
        scrape = proxy.idle()

    assert answer.status_code == 503
    assert "MISTRAL_URL" in answer.json()["error"]
    assert requests(scrape) == {"error": 1}
    assert scrape.value(ERRORS, endpoint="chat", error_type="upstream_connect") == 1
    assert scrape.value("mistral_upstream_up") == 0


@pytest.mark.parametrize("before", [(), (chunk("a"),)], ids=["first byte", "mid-stream"])
def test_an_engine_that_falls_silent_is_a_timeout(
    engine: ScriptedEngine, settings: ProxySettings, before: tuple[bytes, ...]
) -> None:
    """An error of its own type, never "cancelled"."""
    engine.chat(stream(*before, Step.STALL))
    with RunningProxy(replace(settings, engine_silence_timeout_seconds=0.3)) as proxy:
        answer = proxy.http.post("/api/chat", json=HELLO)
        scrape = proxy.idle()

    assert answer.status_code == (200 if before else 504)
    assert "ENGINE_SILENCE_TIMEOUT" in answer.text
    assert requests(scrape) == {"error": 1}
    assert scrape.value(ERRORS, endpoint="chat", error_type="upstream_timeout") == 1
    assert scrape.value(STREAMS, endpoint="chat", outcome="timeout") == len(before)
    assert scrape.value("mistral_http_request_duration_seconds_sum", endpoint="chat") >= 0.3


@pytest.mark.parametrize("body", [b"{", b"", b'{"model":""}'], ids=["cut", "empty", "no model"])
def test_a_bad_request_is_the_clients_error(proxy: RunningProxy, body: bytes) -> None:
    """Never in the error ratio."""
    assert proxy.http.post("/api/chat", content=body).status_code == 400
    assert requests(proxy.idle()) == {"client_error": 1}


def test_invented_model_names_create_no_series(proxy: RunningProxy) -> None:
    """A thousand names, no new series."""
    proxy.http.post("/api/chat", json=HELLO)
    before = proxy.idle().series()

    for i in range(1000):
        body = HELLO | {"model": f"invented-{i}"}
        assert proxy.http.post("/api/chat", json=body).status_code == 404

    assert proxy.idle().series() - before == set()


def test_all_names_of_a_model_are_one_label(proxy: RunningProxy) -> None:
    for name in (MODEL, f"{MODEL}:latest", MODEL.upper()):
        proxy.http.post("/api/chat", json=WHOLE | {"model": name})

    assert proxy.idle().value(GENERATED, model=MODEL) == 3


def test_unknown_paths_and_methods_are_one_label(proxy: RunningProxy) -> None:
    proxy.probe()
    before = proxy.scrape().series()
    for i in range(1000):
        proxy.http.get(f"/random/{i}")
    for method in ("DELETE", "PATCH", "PROPFIND"):
        assert proxy.http.request(method, "/api/chat").status_code == 405
    after = proxy.idle()

    assert after.series() - before == set()
    assert requests(after, "unmatched") == {"client_error": 1003}


@pytest.mark.parametrize("name", ['a"b', "a\nb", "\N{GRINNING FACE}", "x" * 10_000])
def test_odd_model_names_leave_the_exposition_readable(
    engine: ScriptedEngine, proxy: RunningProxy, name: str
) -> None:
    """Whatever the client or the engine calls a model."""
    proxy.http.post("/api/chat", json=HELLO | {"model": name})
    engine.status_of[name] = "loaded"
    proxy.probe()
    proxy.http.post("/api/chat", json=HELLO | {"model": name})

    assert "mistral_http_requests" in {family.name for family in proxy.idle().families}


def test_a_model_that_left_the_engine_is_loaded_no_more(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Its series stays; a 1 in it would be a model that nobody serves."""
    proxy.probe()
    assert proxy.scrape().value("mistral_model_loaded", model=OTHER_MODEL) == 1
    del engine.status_of[OTHER_MODEL]
    proxy.probe()
    scrape = proxy.scrape()

    assert scrape.value("mistral_model_loaded", model=OTHER_MODEL) == 0
    assert scrape.value("mistral_model_loaded", model=MODEL) == 1


def test_an_upload_that_is_broken_off_counts_for_its_endpoint(proxy: RunningProxy) -> None:
    """As cancelled: the path was known, only the body never came."""
    with socket.create_connection(("127.0.0.1", proxy.port)) as connection:
        head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head + b'{"model":')
        assert proxy.counted("mistral_active_requests", 1)
    scrape = proxy.idle()

    assert requests(scrape) == {"cancelled": 1}
    assert requests(scrape, "unmatched") == {}


@pytest.mark.parametrize(
    ("path", "reply", "reason"),
    [
        ("/v1/responses", {"status": "completed"}, "stop"),
        ("/v1/responses", {"status": "incomplete"}, "length"),
        ("/v1/messages", {"stop_reason": "max_tokens"}, "length"),
        ("/v1/messages", {"stop_reason": "tool_use"}, "tool_calls"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value.values())),
)
def test_ends_that_other_apis_name_are_counted_as_what_they_are(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, reply: dict[str, str], reason: str
) -> None:
    """Streamed and whole alike."""
    if path == "/v1/responses":
        last = named(f"response.{reply['status']}", {"response": reply})
    else:
        last = named("message_delta", {"delta": reply}) + named("message_stop", {})
    for answer in (stream(last), json_reply(reply)):
        engine.on(path, answer)
        proxy.http.post(path, json={"model": MODEL, "input": "hi"})
    scrape = proxy.idle()

    assert scrape.value("mistral_generations_total", model=MODEL, finish_reason=reason) == 2


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
def test_an_event_that_tells_a_failure_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, failure: bytes
) -> None:
    """The APIs that name their events have names for it; the bytes pass as they are."""
    events = named("response.output_text.delta", {"delta": "a"}) + failure
    endpoint = path[1:].replace("/", "_")
    engine.on(path, stream(events))
    body = {"model": MODEL, "input": "hi", "stream": True}
    answer = proxy.http.post(path, json=body)
    scrape = proxy.idle()

    assert answer.content.startswith(events)
    assert requests(scrape, endpoint) == {"error": 1}
    assert scrape.value(STREAMS, endpoint=endpoint, outcome="upstream_error") == 1

    engine.on(path, stream(failure))
    answer = proxy.http.post(path, json=body)

    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "out of memory"


def test_a_whole_response_that_failed_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """It passes as it is, with the engine's 200."""
    engine.on("/v1/responses", json_reply({"object": "response", "status": "failed"}))
    answer = proxy.http.post("/v1/responses", json={"model": MODEL, "input": "hi"})

    assert answer.json()["status"] == "failed"
    assert requests(proxy.idle(), "v1_responses") == {"error": 1}


def test_openmetrics_is_given_to_those_who_ask(proxy: RunningProxy) -> None:
    """Content types carry a version; both routes give the same families."""
    text = proxy.http.get("/metrics")
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    openmetrics = proxy.http.get("/api/metrics", headers=wanted)

    assert text.headers["content-type"].startswith("text/plain; version=")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=")
    assert openmetrics.text.endswith("# EOF\n")
    assert "_created" not in text.text


def test_every_route_counts_its_requests_whatever_comes_of_them(proxy: RunningProxy) -> None:
    """Also those that have no model, and bodies that nothing can be made of."""
    sent: Counter[str] = Counter()
    for route in ROUTES:
        if route.path in HOUSEKEEPING_PATHS:
            continue
        for method in route.methods:
            body = None if method in ("GET", "HEAD") else b"{"
            proxy.http.request(method, re.sub("<[^>]*>", "x", route.path), content=body)
            sent[route.endpoint] += 1
    scrape = proxy.idle()

    took = "mistral_http_request_duration_seconds_count"
    for endpoint in ENDPOINTS:
        counted = requests(scrape, endpoint)
        assert sum(counted.values()) == sent[endpoint], endpoint
        assert scrape.value(took, endpoint=endpoint) == sent[endpoint]
        assert counted.keys() <= {"success", "client_error", "error"}


def test_every_alert_threshold_is_a_bucket_edge_with_room_above() -> None:
    """The original's buckets ended at 10 s, so alerts above could never fire."""
    for threshold in (5, 10, 30):
        assert threshold in HTTP_BUCKETS
        assert sum(edge > threshold for edge in HTTP_BUCKETS) >= 3


def test_the_series_budget_holds_with_ten_models(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Below 3,000 series, so that a scrape stays small."""
    engine.status_of |= {f"model-{i}": "loaded" for i in range(8)}
    proxy.probe()
    for name in engine.status_of:
        proxy.http.post("/api/chat", json=HELLO | {"model": name})

    assert len(proxy.idle().samples) < 3000


def test_a_load_is_recorded_only_when_the_engine_loads(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """No sample for a model that was ready; one for a reload through the proxy."""
    loads = "mistral_model_load_duration_seconds_count"
    proxy.http.post("/api/chat", json=WHOLE)
    assert proxy.idle().value(loads, model=MODEL) == 0

    engine.status_of[MODEL] = "unloaded"
    proxy.probe()
    answer = proxy.http.post("/api/chat", json=WHOLE)

    assert answer.json()["load_duration"] > 0
    assert proxy.idle().value(loads, model=MODEL) == 1
    assert [call.json for call in engine.calls("/v1/models/reload")] == [{"model_id": MODEL}]


@pytest.mark.parametrize(
    ("answer", "status", "text"),
    [
        ({"status": "not_found"}, 404, "not found"),
        ({"status": "internal_error", "error": "out of memory"}, 503, "out of memory"),
        ({"status": "no_loader_config"}, 503, "no_loader_config"),
        ({"status": "reloading"}, 503, "did not load"),
        ({}, 502, "unknown shape"),
    ],
)
def test_a_model_that_the_engine_can_not_load_is_told_at_once(
    engine: ScriptedEngine,
    proxy: RunningProxy,
    answer: dict[str, str],
    status: int,
    text: str,
) -> None:
    """The engine says so with a 200; nothing is sent to the model, no load is recorded."""
    engine.status_of[MODEL] = "unloaded"
    engine.on("/v1/models/reload", json_reply({"model_id": MODEL} | answer))
    proxy.probe()
    reply = proxy.http.post("/api/chat", json=WHOLE)

    assert reply.status_code == status
    assert text in reply.json()["error"]
    assert engine.calls() == []
    assert proxy.idle().value("mistral_model_load_duration_seconds_count", model=MODEL) == 0


def test_a_model_that_vanished_is_not_found(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """It was listed as unloaded when the request came, and no more when it was to be loaded."""
    engine.status_of[MODEL] = "unloaded"
    proxy.probe()
    del engine.status_of[MODEL]
    reply = proxy.http.post("/api/chat", json=WHOLE)

    assert reply.status_code == 404
    assert engine.calls("/v1/models/reload") == []
    assert proxy.idle().value("mistral_model_load_duration_seconds_count", model=MODEL) == 0


def test_time_that_passes_in_the_engine_is_told_apart_from_the_proxys_own(
    engine: ScriptedEngine, proxy: RunningProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait for the engine's head counts, and that for the rest of its stream."""
    monkeypatch.setattr("proxy_service.engines.client.monotonic", proxy.clock.monotonic)
    go_on = threading.Event()
    engine.chat(stream(chunk("a"), go_on, chunk("", finish="stop", usage=USAGE), DONE))

    with proxy.http.stream("POST", "/api/chat", json=HELLO) as answer:
        parts = answer.iter_bytes()
        next(parts)
        proxy.put_forward(5)
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
def test_what_the_engine_is_asked_for_is_a_label(
    proxy: RunningProxy, path: str, body: dict[str, object], operation: str
) -> None:
    """Whether it answers or, as with the last, has no such path."""
    proxy.http.post(path, json=body)

    assert proxy.idle().value(f"{UPSTREAM}_count", operation=operation) == 1


def test_an_engine_that_hangs_shows_in_the_time_it_was_waited_for(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    engine.chat(stream(chunk("a"), Step.STALL))
    with RunningProxy(replace(settings, engine_silence_timeout_seconds=0.3)) as proxy:
        proxy.http.post("/api/chat", json=HELLO)
        scrape = proxy.idle()

    assert scrape.value(f"{UPSTREAM}_sum", operation="chat") >= 0.3


def test_the_engines_last_good_answer_has_a_time_that_a_failure_leaves(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """So that its age can be told: 0 before the first, then the time of the last."""
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


def test_an_engine_that_never_answered_has_no_last_good_answer(settings: ProxySettings) -> None:
    with RunningProxy(replace(settings, engine_url="http://127.0.0.1:9")) as proxy:
        proxy.probe()
        assert proxy.scrape().value(LAST_SUCCESS) == 0


def test_a_proxy_that_is_held_up_shows_it(proxy: RunningProxy) -> None:
    """For longer than the pause between two looks, so that one of them is late in any case."""
    proxy.hold_up(seconds=1.5)

    assert eventually(lambda: proxy.scrape().value("mistral_event_loop_lag_seconds") > 0.9)


def test_sixty_streams_are_sixty_active_requests(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """All running streams show, and all are gone afterwards."""
    go_on = threading.Event()
    engine.chat(stream(chunk("a"), go_on, chunk("", finish="stop", usage=USAGE), DONE))
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

    assert requests(proxy.idle()) == {"success": 60}


@pytest.mark.parametrize("works", [True, False])
def test_embedding_is_no_generation(
    engine: ScriptedEngine, proxy: RunningProxy, *, works: bool
) -> None:
    """Whether it works or fails, it moves no generation metric."""
    if not works:
        engine.on("/v1/embeddings", json_reply({"message": "boom"}, 500))
    for path in ("/api/embed", "/v1/embeddings"):
        proxy.http.post(path, json={"model": MODEL, "input": "x"})
    scrape = proxy.idle()

    moved = {k[0] for k, v in scrape.samples.items() if ("model", MODEL) in k[1] and v}
    assert moved == {"mistral_model_loaded"}
    assert requests(scrape, "embed") == {"success" if works else "error": 1}


def test_an_error_that_its_client_did_not_wait_for_is_counted_as_cancelled_alone() -> None:
    """Each request has one ending: the sum of the errors is that of the statuses."""
    metrics = ProxyMetrics()
    record = RequestRecord(metrics=metrics, request_id="1", started=0, endpoint="chat")
    record.error = EngineTimeout()
    record.interrupted()
    record.finish(now=1)
    text, _ = metrics.expose("")
    scrape = Exposition(text.decode())

    assert requests(scrape) == {"cancelled": 1}
    assert sum(value for (name, _), value in scrape.samples.items() if name == ERRORS) == 0
