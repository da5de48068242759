"""Whose fault an error is: the same for streams and whole responses, and whatever its status.

Only the faults of the engine and the proxy may have the status "error", which can make an alert
fire. Nobody who reaches the port may be able to cause one.
"""

import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import pytest

from proxy_service.routes.probes import PROBE_PATHS
from proxy_service.routes.table import ROUTES
from proxy_service.server.request import MAX_HEAD_BYTES, MAX_HEADERS
from proxy_service.settings.schema import ProxySettings
from tests.processes import free_port
from tests.proxy.running import Exposition, RunningProxy
from tests.proxy.scripted_engine import (
    CHAT_PATH,
    DONE,
    MODEL,
    OTHER_MODEL,
    Body,
    Reply,
    ScriptedEngine,
    Step,
    delta_event,
    event,
    json_reply,
    stream,
)
from tests.proxy.telemetry.counting import ERRORS, HELLO, REQUESTS, STREAMS, named

# Seconds.
REQUEST_TIMEOUT = 50

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"


def post(body: bytes, path: bytes = b"/api/chat", headers: bytes = b"") -> bytes:
    return (
        b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n" % (path, HOST, headers, len(body))
        + body
    )


def chat(**fields: object) -> bytes:
    return post(json.dumps(HELLO | fields).encode())


# What a client can send, each on a connection of its own; none of it needs a key.
RAW = {
    "HTTP/2.0": b"GET / HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "TLS": bytes.fromhex("16030100"),
    "not HTTP": b"hello\r\n\r\n",
    "unknown method": b"BREW /api/chat HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "wrong method": b"DELETE /api/chat HTTP/1.1\r\n" + HOST + b"\r\n",
    "unknown path": b"GET /api/nothing HTTP/1.1\r\n" + HOST + b"\r\n",
    "no Host": b"GET /api/tags HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET /api/tags HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "long head": b"GET /%b HTTP/1.1\r\n\r\n" % (b"x" * MAX_HEAD_BYTES),
    "many headers": b"GET / HTTP/1.1\r\n%b\r\n" % (b"A: b\r\n" * (MAX_HEADERS + 1)),
    "gzip coding": b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "two codings": b"POST /api/chat HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 chunked": b"POST /api/chat HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "two lengths": b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\n" * 2 + b"\r\nx",
    "huge length": b"POST /api/chat HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999\r\n\r\n",
    "endless length": b"POST /api/chat HTTP/1.1\r\n%bContent-Length: %b\r\n\r\n"
    % (HOST, b"9" * 40),
    "expectation": post(b"{}", headers=b"Expect: a miracle\r\n"),
    "compressed": post(b"\x1f\x8b", headers=b"Content-Encoding: gzip\r\n"),
    "compressed badly": post(b"{}", b"/v1/responses", headers=b"Content-Encoding: zstd\r\n"),
    "foreign origin": post(b"{}", headers=b"Origin: https://evil.example\r\n"),
    "foreign name": b"GET /api/tags HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "no JSON": post(b"{"),
    "no body": post(b""),
    "deep JSON": post(b"[" * 5000),
    "wrongly typed option": chat(options={"temperature": "hot"}),
    "wrongly typed option, whole": chat(options={"temperature": "hot"}, stream=False),
    "invalid format": chat(format="xml"),
    "invalid image": chat(messages=[{"role": "user", "content": "", "images": ["!"]}]),
    "invalid role": chat(messages=[{"role": 1, "content": ""}]),
    "invalid keep_alive": chat(keep_alive="soon"),
    "unknown model": chat(model="unknown"),
    "unknown model, whole": chat(model="unknown", stream=False),
    "invalid name": chat(model="a b"),
    "v1 without model": post(b"{}", b"/v1/chat/completions"),
    "v1 unknown model": post(b'{"model":"x","stream":true}', b"/v1/chat/completions"),
    "pull of an unknown model": post(b'{"model":"x"}', b"/api/pull"),
    "pull of an unknown model, whole": post(b'{"model":"x","stream":false}', b"/api/pull"),
    "pull of an invalid name": post(b'{"model":"a b"}', b"/api/pull"),
    "push": post(b'{"model":"x"}', b"/api/push"),
    "push, whole": post(b'{"model":"x","stream":false}', b"/api/push"),
    "create": post(b'{"model":"x"}', b"/api/create"),
    "copy": post(b'{"source":"%b","destination":"x"}' % MODEL.encode(), b"/api/copy"),
    "copy of an unknown model": post(b'{"source":"x","destination":"y"}', b"/api/copy"),
    "delete": post(b'{"model":"%b"}' % MODEL.encode(), b"/api/delete").replace(b"POST", b"DELETE"),
    "blob": post(b"x", b"/api/blobs/sha256:1"),
    "transcription": post(b"{}", b"/v1/audio/transcriptions"),
    "web search": post(b"{}", b"/api/experimental/web_search"),
    "account": post(b"{}", b"/api/me"),
    "responses of an engine without them": post(
        b'{"model":"%b","stream":true}' % MODEL.encode(), b"/v1/responses"
    ),
    "pipelined": (b"POST /api/nothing HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n") * 40,
}


def statuses(scrape: Exposition) -> Counter[str]:
    """Return the counts of all endpoints by status."""
    counts = Counter[str]()
    for (name, labels), value in scrape.samples.items():
        if name == REQUESTS and value:
            counts[dict(labels)["status"]] += int(value)
    return counts


@pytest.fixture(scope="module")
def shared_proxy() -> Iterator[RunningProxy]:
    """One proxy for all requests that reach no generation."""
    with ScriptedEngine() as engine, RunningProxy(ProxySettings(engine_url=engine.url)) as running:
        yield running


@pytest.mark.parametrize("name", RAW)
def test_nothing_that_a_client_sends_is_an_error(shared_proxy: RunningProxy, name: str) -> None:
    """Neither of what reaches a route, nor of what doesn't."""
    proxy = shared_proxy
    before = statuses(proxy.idle())
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=30) as client:
        client.sendall(RAW[name])
        assert client.recv(65536).startswith(b"HTTP/1.1 ")
    counted = statuses(proxy.idle()) - before

    assert counted.keys() <= {"client_error", "cancelled"}
    assert counted["client_error"] >= 1


@pytest.mark.parametrize("sent", [b"GET / HT", post(b"{}")[:-1]], ids=["head", "body"])
def test_a_request_that_is_never_complete_is_the_clients_error(
    settings: ProxySettings, sent: bytes
) -> None:
    slow = replace(settings, client_request_timeout_seconds=REQUEST_TIMEOUT)
    with RunningProxy(slow) as proxy, socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(sent)
        assert proxy.has_read(len(sent), port=client.getsockname()[1])
        proxy.put_forward(REQUEST_TIMEOUT + 1)
        assert client.recv(65536).startswith(b"HTTP/1.1 408 ")
        assert statuses(proxy.idle()) == {"client_error": 1}


def test_no_request_without_a_key_is_an_error(settings: ProxySettings) -> None:
    with RunningProxy(replace(settings, api_keys=("key",))) as proxy:
        for route in ROUTES:
            if route.path not in PROBE_PATHS:
                for method in route.methods:
                    proxy.http.request(method, re.sub("<[^>]*>", "x", route.path), content=b"{}")
        metrics = proxy.http.get("/metrics", headers={"Authorization": "Bearer key"}).text

    assert statuses(Exposition(metrics)).keys() == {"client_error"}


@dataclass(frozen=True)
class Kind:
    """A generation in one API: where it is sent, and how the engine reports an error to it."""

    path: str
    engine_path: str
    body: Body

    @property
    def endpoint(self) -> str:
        return self.path[1:].replace("api/", "").replace("/", "_")

    def failed(self, message: str) -> bytes:
        """Return the event that reports an error."""
        if self.path == "/v1/responses":
            return named("error", {"error": {"message": message}})
        if self.path == "/v1/messages":
            return named("error", {"error": {"type": "api_error", "message": message}})
        return event({"error": {"message": message, "type": "server_error"}}) + DONE

    @property
    def content(self) -> bytes:
        """An event with content."""
        if self.path == "/v1/responses":
            return named("response.output_text.delta", {"delta": "a"})
        if self.path == "/v1/messages":
            return named("content_block_delta", {"delta": {"text": "a"}})
        return delta_event("a")


PROMPT: Body = {"model": MODEL, "prompt": "hi"}
INPUT: Body = {"model": MODEL, "input": "hi"}
KINDS = [
    Kind("/api/chat", CHAT_PATH, HELLO),
    Kind("/api/generate", CHAT_PATH, PROMPT),
    Kind("/v1/chat/completions", CHAT_PATH, HELLO),
    Kind("/v1/completions", "/v1/completions", PROMPT),
    Kind("/v1/responses", "/v1/responses", INPUT),
    Kind("/v1/messages", "/v1/messages", INPUT),
]
# Messages of the engine, and what is counted for each.
MESSAGES = {
    "Prompt sequence length is greater than 2048": ("client_error", "invalid_request"),
    "Requested model 'x' is not available.": ("client_error", "model_not_found"),
    "input tensor is not contiguous Layout { shape: [3, 1, 640] }": ("error", "upstream_status"),
    "EnginePoisoned": ("error", "upstream_connect"),
}
# How the engine may say it.
WAYS = ("400", "422", "500", "event")


def counted(scrape: Exposition, endpoint: str) -> tuple[dict[str, float], str, str]:
    """Return an endpoint's requests by status, the only type of error, and the stream's outcome."""

    def of(name: str, label: str, **labels: str) -> dict[str, float]:
        return {
            dict(key)[label]: value
            for (found, key), value in scrape.samples.items()
            if found == name and value and labels.items() <= key
        }

    types = [*of(ERRORS, "error_type", endpoint=endpoint), ""]
    outcomes = [*of(STREAMS, "outcome", endpoint=endpoint), ""]
    assert len(types) <= 2
    assert len(outcomes) <= 2
    return of(REQUESTS, "status", endpoint=endpoint), types[0], outcomes[0]


@pytest.mark.parametrize("message", MESSAGES)
def test_an_engines_error_is_the_same_whatever_was_asked_for(
    engine: ScriptedEngine, proxy: RunningProxy, message: str
) -> None:
    """In each API, streamed or whole, with each status and as an event."""
    status, error_type = MESSAGES[message]
    for kind in KINDS:
        requests = 0
        for streamed, way in product((True, False), WAYS):
            if way != "event":
                engine.on(kind.engine_path, json_reply({"message": message}, int(way)))
            elif streamed:
                engine.on(kind.engine_path, stream(kind.failed(message)))
            else:
                continue
            requests += 1
            response = proxy.http.post(kind.path, json=kind.body | {"stream": streamed})
            fault = 4 if status == "client_error" else 5
            assert response.status_code // 100 == fault, (kind.path, streamed, way)
        expected = ({status: requests}, error_type, "upstream_error" if status == "error" else "")
        assert counted(proxy.idle(), kind.endpoint) == expected


@pytest.mark.parametrize("message", MESSAGES)
def test_an_error_after_content_is_the_fault_of_the_same_side(
    engine: ScriptedEngine, proxy: RunningProxy, message: str
) -> None:
    status, error_type = MESSAGES[message]
    if status == "error":
        error_type = "stream_interrupted"
    outcome = {"error": "upstream_error"}.get(status, status)
    for kind in KINDS:
        engine.on(kind.engine_path, stream(kind.content, kind.failed(message)))
        response = proxy.http.post(kind.path, json=kind.body | {"stream": True})
        assert response.status_code == 200
        assert counted(proxy.idle(), kind.endpoint) == ({status: 1}, error_type, outcome)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_generation_that_the_engine_calls_failed_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool
) -> None:
    """With status 200, in a stream or in a whole reply; the reason may say more."""
    chats = [kind for kind in KINDS if kind.engine_path == CHAT_PATH]
    engine.chat(
        stream(delta_event("a"), delta_event("", finish="error"), DONE)
        if streamed
        else json_reply({"choices": [{"finish_reason": "error", "message": {"content": "a"}}]})
    )
    for kind in chats:
        proxy.http.post(kind.path, json=kind.body | {"stream": streamed})
        expected = ("stream_interrupted", "upstream_error") if streamed else ("upstream_status", "")
        assert counted(proxy.idle(), kind.endpoint) == ({"error": 1}, *expected)

    failed = {"status": "failed", "error": {"message": "Received an empty prompt."}}
    engine.on(
        "/v1/responses",
        stream(named("response.failed", {"response": failed})) if streamed else json_reply(failed),
    )
    proxy.http.post("/v1/responses", json=INPUT | {"stream": streamed})
    assert counted(proxy.idle(), "v1_responses") == ({"client_error": 1}, "invalid_request", "")


# Everything that can be asked for streamed or whole.
BODIES = {kind.path: kind.body for kind in KINDS} | {"/api/pull": {"model": OTHER_MODEL}}


@pytest.mark.parametrize(("path", "body"), BODIES.items(), ids=BODIES)
def test_an_engine_that_is_gone_is_an_error_of_every_endpoint(
    settings: ProxySettings, path: str, body: Body
) -> None:
    """And ends the streams that were asked for, although none began."""
    endpoint = path[1:].replace("api/", "").replace("/", "_")
    with RunningProxy(replace(settings, engine_url=f"http://127.0.0.1:{free_port()}")) as proxy:
        for streamed in (True, False):
            response = proxy.http.post(path, json=body | {"stream": streamed})
            assert response.status_code == 503
        scrape = proxy.idle()

    assert counted(scrape, endpoint) == ({"error": 2}, "upstream_connect", "upstream_error")
    assert scrape.value(STREAMS, endpoint=endpoint, outcome="upstream_error") == 1


def test_a_full_queue_ends_the_streams_that_it_refuses(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    engine.chat(Reply(()))
    with RunningProxy(replace(settings, max_concurrent_requests=0, max_queued_requests=0)) as proxy:
        for streamed in (True, False):
            body = HELLO | {"stream": streamed}
            assert proxy.http.post("/api/chat", json=body).status_code == 503
        scrape = proxy.idle()

    assert counted(scrape, "chat") == ({"error": 2}, "overloaded", "upstream_error")
    assert scrape.value(STREAMS, endpoint="chat", outcome="upstream_error") == 1


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        ("unloaded", "no such file", ("error", "upstream_connect")),
        ("not_found", "", ("client_error", "model_not_found")),
        ("nonsense", "", ("error", "upstream_connect")),
    ],
)
def test_a_pull_that_fails_is_the_same_streamed_and_whole(
    engine: ScriptedEngine,
    proxy: RunningProxy,
    status: str,
    error: str,
    expected: tuple[str, str],
) -> None:
    engine.status_of[OTHER_MODEL] = "unloaded"
    proxy.probe()
    engine.on("/v1/models/reload", json_reply({"status": status, "error": error}))
    for streamed in (True, False):
        proxy.http.post("/api/pull", json={"model": OTHER_MODEL, "stream": streamed})

    label, error_type = expected
    outcome = "upstream_error" if label == "error" else ""
    assert counted(proxy.idle(), "pull") == ({label: 2}, error_type, outcome)


def test_a_pull_of_an_unknown_model_is_the_same_streamed_and_whole(proxy: RunningProxy) -> None:
    """The streamed one has begun, with a status of 200, and ends with the error."""
    for streamed in (True, False):
        proxy.http.post("/api/pull", json={"model": "unknown", "stream": streamed})
    scrape = proxy.idle()

    expected = ({"client_error": 2}, "model_not_found", "client_error")
    assert counted(scrape, "pull") == expected
    assert scrape.value(STREAMS, endpoint="pull", outcome="client_error") == 1
    assert scrape.value(ERRORS, endpoint="pull", error_type="model_not_found") == 2


def test_a_client_that_gives_up_before_its_stream_began_is_counted(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(Reply((Step.STALL,)))
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(chat())
        proxy.put_forward_in_silence(engine, 0)

    assert counted(proxy.idle(), "chat") == ({"cancelled": 1}, "", "client_disconnected")
