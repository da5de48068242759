"""Every way in which an engine can fail, on every kind of request, and the consequences.

The client gets a status as long as nothing was sent, and an error as the last line or event after
that. The metrics count one request with one status. The proxy keeps no task or connection, sends
nothing to the engine twice, and answers the next request.
"""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import httpx
import pytest

from proxy_service.settings.schema import ProxySettings
from tests.processes import free_port
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    Received,
    Reply,
    ScriptedEngine,
    Step,
    completion,
    default_chat,
    delta_event,
    json_reply,
    stream,
)

Body = dict[str, Any]

HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
PROMPT = {"model": MODEL, "prompt": "hi"}
V1 = "/v1/chat/completions"
HTML = b"<html><body><h1>It works!</h1></body></html>"
LAST = delta_event("", finish="stop", usage=USAGE)
LONG_TEXT = "x" * 2_000_000
HALF_CHARACTER = delta_event("?").replace(b"?", b"\xf0\x9f")


@dataclass(frozen=True)
class Kind:
    """A kind of request; `endpoint` is its label in the metrics.

    With `collects`, the engine sends a stream, which the client gets as a whole response.
    """

    path: str
    endpoint: str
    body: Body
    streams: bool
    collects: bool = False

    @property
    def is_v1(self) -> bool:
        """Whether it uses OpenAI's API, whose streams are passed on unchanged."""
        return self.path.startswith("/v1")


KINDS = {
    "chat": Kind("/api/chat", "chat", HELLO, streams=True),
    "whole chat": Kind("/api/chat", "chat", HELLO | {"stream": False}, streams=False),
    "collected chat": Kind(
        "/api/chat", "chat", HELLO | {"stream": False}, streams=False, collects=True
    ),
    "generate": Kind("/api/generate", "generate", PROMPT, streams=True),
    "whole generate": Kind("/api/generate", "generate", PROMPT | {"stream": False}, streams=False),
    "collected generate": Kind(
        "/api/generate", "generate", PROMPT | {"stream": False}, streams=False, collects=True
    ),
    "v1": Kind(V1, "v1_chat_completions", HELLO | {"stream": True}, streams=True),
    "whole v1": Kind(V1, "v1_chat_completions", HELLO, streams=False),
}

OK = (200, "")
CUT = (200, "stream_interrupted")
SILENT = (200, "upstream_timeout")
NO_HTTP = (502, "upstream_protocol")
NO_REPLY = (504, "upstream_timeout")
# An event that isn't JSON is the text of an error, as in older releases of Mistral.rs.
GARBAGE = (500, "upstream_status")
# What becomes of an outcome of a stream if no byte of the response was sent.
BEFORE_A_BYTE = {CUT: NO_HTTP, SILENT: NO_REPLY}


@dataclass(frozen=True)
class Fault:
    """What the engine does, and the status and the error type that result.

    A stream with an error can still have the status 200; then its last line or event has the error.
    """

    streamed: Reply
    stream: tuple[int, str]
    reply: Reply
    whole: tuple[int, str]
    v1_stream: tuple[int, str] | None = None
    v1_whole: tuple[int, str] | None = None
    collected: tuple[int, str] | None = None

    def outcome(self, kind: Kind) -> tuple[int, str]:
        """Return the status and the error type, or an empty string."""
        ours, v1s = self.whole, self.v1_whole
        if kind.collects:
            ours = self.collected or BEFORE_A_BYTE.get(self.stream, self.stream)
        if kind.streams:
            ours, v1s = self.stream, self.v1_stream
        return v1s if kind.is_v1 and v1s is not None else ours


def at_once(reply: Reply, status: int, error_type: str) -> Fault:
    """Return a fault before anything could be sent, for all kinds of requests."""
    return Fault(reply, (status, error_type), reply, (status, error_type))


def half(reply: Reply, *steps: Step) -> Reply:
    """Return the first half of a whole reply, with the length of all of it."""
    (body,) = reply.steps
    assert isinstance(body, bytes)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return Reply((head % len(body) + body[: len(body) // 2], *steps), raw=True)


WHOLE = completion("Hello")
# Set once the client has the first bytes of its response: a reset destroys what wasn't read.
SEEN = threading.Event()
FAULTS = {
    "resets before a byte": at_once(Reply((Step.RESET,), raw=True), *NO_HTTP),
    "closes before a byte": at_once(Reply((Step.CUT,), raw=True), *NO_HTTP),
    "closes within the head": at_once(Reply((b"HTTP/1.1 200 O", Step.CUT), raw=True), *NO_HTTP),
    "stalls before the head": at_once(Reply((Step.STALL,), raw=True), *NO_REPLY),
    "doesn't speak HTTP": at_once(
        Reply((b"220 mail.example ESMTP\r\n", Step.CUT), raw=True), *NO_HTTP
    ),
    "sends a page": at_once(Reply((HTML,), content_type="text/html", length=True), *NO_HTTP),
    "sends a page as JSON": at_once(Reply((HTML,), length=True), *NO_HTTP),
    "sends nothing as JSON": at_once(Reply((b"",), length=True), *NO_HTTP),
    "resets after an empty head": at_once(Reply((Step.RESET,), length=True), *NO_HTTP),
    "sends a page with 404": at_once(
        Reply((HTML,), status=404, content_type="text/html", length=True), *NO_HTTP
    ),
    "sends a page with 500": at_once(
        Reply((HTML,), status=500, content_type="text/html", length=True), 500, "upstream_status"
    ),
    "stalls before the first event": Fault(
        stream(Step.STALL), NO_REPLY, half(WHOLE, Step.STALL), NO_REPLY
    ),
    "stalls in the middle": Fault(
        stream(delta_event("a"), Step.STALL), SILENT, half(WHOLE, Step.STALL), NO_REPLY
    ),
    "resets in the middle": Fault(
        stream(delta_event("a"), SEEN, Step.RESET), CUT, half(WHOLE, Step.RESET), NO_HTTP
    ),
    "closes in the middle": Fault(
        stream(delta_event("a"), Step.CUT), CUT, half(WHOLE, Step.CUT), NO_HTTP
    ),
    "dies within a line": Fault(
        stream(delta_event("a"), b'data: {"choices":[{"de', Step.CUT),
        CUT,
        half(WHOLE, Step.CUT),
        NO_HTTP,
    ),
    "ends within a line": Fault(
        stream(delta_event("a"), b'data: {"choices":[{"de'),
        CUT,
        Reply((b'{"choices":[{"me',), length=True),
        NO_HTTP,
        collected=GARBAGE,
    ),
    "ends without data": Fault(stream(), NO_HTTP, Reply((b"",), length=True), NO_HTTP),
    "sends an event of garbage": Fault(
        stream(delta_event("a"), b"data: \x00\xff\xfe}{\n\n", DONE),
        CUT,
        Reply((b"\x00\xff\xfe}{",), length=True),
        NO_HTTP,
        collected=GARBAGE,
    ),
    "sends half a character": Fault(
        stream(delta_event("a"), HALF_CHARACTER, LAST, DONE),
        CUT,
        Reply((b'{"choices":[{"message":{"content":"\xf0\x9f"}}]}',), length=True),
        NO_HTTP,
        v1_stream=OK,
        collected=GARBAGE,
    ),
    "dies within a character": Fault(
        stream(delta_event("a"), HALF_CHARACTER.partition(b"\x9f")[0], Step.CUT),
        CUT,
        half(WHOLE, Step.CUT),
        NO_HTTP,
    ),
    "sends an event of 2 MB": Fault(
        stream(delta_event("a"), delta_event(LONG_TEXT), LAST, DONE), OK, completion(LONG_TEXT), OK
    ),
    # finish_reason and usage show that the reply is complete; a client of /v1 waits for [DONE].
    "sends no [DONE]": Fault(stream(delta_event("a"), LAST), OK, WHOLE, OK, v1_stream=CUT),
    "sends neither end nor [DONE]": Fault(stream(delta_event("a")), CUT, WHOLE, OK),
    "sends two [DONE]s": Fault(stream(delta_event("a"), LAST, DONE, DONE), OK, WHOLE, OK),
    "continues after [DONE]": Fault(
        stream(delta_event("a"), LAST, DONE, delta_event("b"), LAST, DONE), OK, WHOLE, OK
    ),
    "stays open after [DONE]": Fault(
        stream(delta_event("a"), LAST, DONE, Step.STALL), OK, WHOLE, OK
    ),
}


# What a client of /v1 gets as the engine sent it.
PASSED_ON = ("sends an event of garbage", "sends half a character")
# One for the chats and one for the lists, at most.
KEPT_CONNECTIONS = 2


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[ScriptedEngine]:
    with ScriptedEngine() as running:
        yield running


@pytest.fixture(scope="module")
def shared_proxy(shared_engine: ScriptedEngine) -> Iterator[RunningProxy]:
    """One proxy for all faults: none of them may affect what follows."""
    with RunningProxy(ProxySettings(engine_url=shared_engine.url)) as running:
        yield running


def counts(proxy: RunningProxy, endpoint: str) -> Counter[str]:
    """Return an endpoint's counts by status and by error type, once no request runs."""
    text = ""

    def idle() -> bool:
        nonlocal text
        text = proxy.http.get("/metrics").text
        gauges = ("active", "running", "queued")
        return all(f"\nmistral_{gauge}_requests 0.0\n" in text for gauge in gauges)

    assert eventually(idle)
    found = re.findall(
        rf"^mistral_(?:http_requests_total|request_errors_total)"
        rf'{{endpoint="{endpoint}",(?:status|error_type)="(\w+)"}} (\S+)$',
        text,
        re.MULTILINE,
    )
    return Counter({label: int(float(value)) for label, value in found})


def error_of(response: httpx.Response, kind: Kind) -> str:
    return error_in(response.content, response.status_code, kind)


def error_in(content: bytes, status: int, kind: Kind) -> str:
    """Return the error's text; check that the response is complete and well-formed."""
    if status != 200 or not kind.streams:
        value = json.loads(content)
        if status == 200:
            return ""
        return str(value["error"]["message"] if kind.is_v1 else value["error"])
    if not kind.is_v1:
        lines = [json.loads(line) for line in content.splitlines()]
        assert [line.get("done") for line in lines[:-1]] == [False] * (len(lines) - 1)
        assert lines[-1].get("done") is True or list(lines[-1]) == ["error"]
        return str(lines[-1].get("error", ""))
    # The engine's events after its [DONE] may be passed on, but no error of the proxy's.
    ends = (DONE.strip(), b'data: {"error"')
    last = [part for part in content.split(b"\n\n") if part.startswith(ends)][-1]
    if last == DONE.strip():
        return ""
    return str(json.loads(last.removeprefix(b"data: "))["error"]["message"])


@pytest.mark.parametrize(("name", "kind"), list(product(FAULTS, KINDS)))
def test_a_fault_ends_as_it_should(
    shared_engine: ScriptedEngine, shared_proxy: RunningProxy, name: str, kind: str
) -> None:
    engine, proxy = shared_engine, shared_proxy
    fault, asked = FAULTS[name], KINDS[kind]
    status, error_type = fault.outcome(asked)
    engine.chat(default_chat)
    assert proxy.http.post(asked.path, json=asked.body).status_code == 200  # keeps a connection
    before, tasks, calls = counts(proxy, asked.endpoint), proxy.tasks(), len(engine.calls())

    def play(received: Received) -> Reply:
        # Without `collects`, the engine sends a whole reply, as one that knows no streams would.
        streams = received.json.get("stream") and (asked.streams or asked.collects)
        return fault.streamed if streams else fault.reply

    engine.chat(play)
    SEEN.clear()
    if not asked.streams:
        SEEN.set()
    with ThreadPoolExecutor(1) as pool:
        if error_type == "upstream_timeout":
            seconds = proxy.settings.engine_reply_timeout_seconds + 1
            pool.submit(proxy.put_forward_in_silence, engine, seconds, skip=calls)
        with proxy.http.stream("POST", asked.path, json=asked.body) as response:
            parts = response.iter_bytes()
            first = next(parts, b"")
            SEEN.set()
            content = first + b"".join(parts)

    assert response.status_code == status
    if not (asked.is_v1 and name in PASSED_ON):
        assert bool(error_in(content, status, asked)) == bool(error_type)
    assert len(engine.calls()) == calls + 1

    counted = counts(proxy, asked.endpoint) - before
    assert counted == Counter(["error", error_type] if error_type else ["success"])
    assert eventually(lambda: proxy.tasks() <= tasks)
    assert eventually(lambda: engine.open_connections <= KEPT_CONNECTIONS)

    engine.chat(default_chat)
    assert proxy.http.post(asked.path, json=asked.body).status_code == 200


def test_an_event_of_2_mb_arrives_whole(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    engine.chat(FAULTS["sends an event of 2 MB"].streamed)
    lines = proxy.http.post("/api/chat", json=HELLO).text.splitlines()
    assert [json.loads(line)["message"]["content"] for line in lines] == ["a", LONG_TEXT, ""]


def test_a_long_error_of_the_engine_is_cut_for_the_client(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(json_reply({"message": "x" * 1_000_000}, 500))
    response = proxy.http.post("/api/chat", json=HELLO)

    assert response.status_code == 500
    assert response.json()["error"] == "x" * 2000 + "\N{HORIZONTAL ELLIPSIS}"


def test_an_engine_that_is_down_at_start_is_reported_and_found_later() -> None:
    """The proxy starts without it, reports it everywhere, and needs no restart."""
    port = free_port()
    settings = ProxySettings(engine_url=f"http://127.0.0.1:{port}")
    with RunningProxy(settings) as proxy:
        assert proxy.http.get("/livez").status_code == 200
        assert eventually(lambda: "MISTRAL_URL" in proxy.http.get("/readyz").text)
        assert proxy.http.get("/readyz").status_code == 503
        for kind in KINDS.values():
            response = proxy.http.post(kind.path, json=kind.body)
            assert response.status_code == 503
            assert "MISTRAL_URL" in error_of(response, kind)
        assert proxy.counted("mistral_upstream_up", 0)
        with ScriptedEngine(port):
            for kind in KINDS.values():
                assert proxy.http.post(kind.path, json=kind.body).status_code == 200
            proxy.probe()
            assert proxy.http.get("/readyz").status_code == 200


def test_the_probe_alone_finds_an_engine_that_starts_later(settings: ProxySettings) -> None:
    """No request is needed."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    quick = replace(settings, engine_url=url, engine_probe_interval_seconds=0.05)
    with RunningProxy(quick, probing=True) as proxy:
        assert proxy.http.get("/readyz").status_code == 503
        with ScriptedEngine(port):
            assert eventually(lambda: proxy.http.get("/readyz").status_code == 200)
        assert eventually(lambda: proxy.http.get("/readyz").status_code == 503)


def test_the_proxy_reports_a_missing_engine_and_recovers(settings: ProxySettings) -> None:
    """Without a restart; `/` and the version are still served."""
    port = free_port()
    with (
        ScriptedEngine(port) as first,
        RunningProxy(replace(settings, engine_url=first.url)) as proxy,
    ):
        proxy.probe()
        first.stop()
        for path in ("/api/tags", "/api/ps", "/readyz"):
            assert proxy.http.get(path).status_code == 503
        assert proxy.http.post("/api/chat", json=KINDS["whole chat"].body).status_code == 503
        assert proxy.http.get("/").status_code == 200
        assert proxy.http.get("/api/version").status_code == 200
        assert proxy.http.get("/livez").status_code == 200
        with ScriptedEngine(port):
            assert proxy.http.post("/api/chat", json=KINDS["whole chat"].body).status_code == 200
            proxy.probe()
            assert proxy.http.get("/readyz").status_code == 200


def hang_for_too_long(engine: ScriptedEngine, proxy: RunningProxy, *, skip: int = 0) -> None:
    """Move time past the timeout of a probe, once the engine hangs in it."""
    seconds = proxy.settings.engine_probe_timeout_seconds + 1
    proxy.put_forward_in_silence(engine, seconds, path="/v1/models", skip=skip)


def test_requests_that_wait_for_an_engine_that_hangs_share_one_probe(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """They share its failure, and don't each wait for another timeout."""
    engine.on("/v1/models", stream(Step.STALL))
    with RunningProxy(settings) as proxy, ThreadPoolExecutor(20) as pool:
        sent = [pool.submit(proxy.http.get, "/api/tags") for _ in range(20)]
        assert proxy.counted("mistral_active_requests", 20)
        hang_for_too_long(engine, proxy)
        codes = [response.result().status_code for response in sent]

    assert codes == [504] * 20
    assert len(engine.calls("/v1/models")) == 1


def test_the_engines_list_of_models_has_the_timeout_of_a_probe(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """It is passed through, but isn't a generation."""
    with RunningProxy(settings) as proxy, ThreadPoolExecutor(1) as pool:
        assert proxy.counted("mistral_upstream_up", 1)
        engine.on("/v1/models", stream(Step.STALL))
        sent = pool.submit(proxy.http.get, "/v1/models")
        hang_for_too_long(engine, proxy, skip=1)
        response = sent.result()

    assert response.status_code == 504
    assert "ENGINE_PROBE_TIMEOUT" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/api/tags", "/v1/models", "/readyz"])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_server_without_a_list_of_models_is_a_502(
    engine: ScriptedEngine, settings: ProxySettings, path: str, status: int
) -> None:
    """Whatever its status is, because the client didn't cause it."""
    engine.on("/v1/models", json_reply({"message": "Requested model 'x' is not available"}, status))
    with RunningProxy(settings) as proxy:
        assert proxy.http.get("/api/tags").status_code == 502
        response = proxy.http.get(path)

    assert response.status_code == (503 if path == "/readyz" else 502)
    assert "MISTRAL_URL" in response.text
