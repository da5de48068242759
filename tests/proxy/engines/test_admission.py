"""More requests than slots: which of them run, which wait, and which are refused."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    Body,
    Received,
    Reply,
    ScriptedEngine,
    completion,
    delta_event,
    json_reply,
    stream,
)

BUSY = "server busy, please try again.  maximum pending requests exceeded"
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
WHOLE = HELLO | {"stream": False}
RUNNING, QUEUED = "mistral_running_requests", "mistral_queued_requests"


@pytest.fixture
def settings(settings: ProxySettings) -> ProxySettings:
    """Set one slot, and room for two requests in the queue."""
    return replace(settings, max_concurrent_requests=1, max_queued_requests=2)


class Crowd:
    """Clients that send requests at once, each in a thread of its own, in order."""

    def __init__(self, proxy: RunningProxy) -> None:
        self._proxy = proxy
        self._pool = ThreadPoolExecutor(max_workers=8)
        self._asked: list[Callable[[], httpx.Response]] = []

    def ask(self, path: str, body: Body) -> None:
        self._asked.append(self._pool.submit(self._proxy.http.post, path, json=body).result)

    def responses(self) -> list[httpx.Response]:
        return [result() for result in self._asked]


@pytest.fixture
def gate(engine: ScriptedEngine) -> threading.Event:
    """Return an event; once it is set, the engine replies to chats with the client's text."""
    event = threading.Event()

    def echo(request: Received) -> Reply:
        text = request.json["messages"][0]["content"]
        if request.json.get("stream"):
            return stream(
                delta_event(text), event, delta_event("", finish="stop", usage=USAGE), DONE
            )
        response = completion(text)
        return Reply((event, *response.steps))

    engine.chat(echo)
    return event


@pytest.fixture
def crowd(proxy: RunningProxy, gate: threading.Event) -> Iterator[Crowd]:
    """Yield clients with one running chat and two queued ones."""
    crowd = Crowd(proxy)
    crowd.ask("/api/chat", HELLO)
    assert proxy.counted(RUNNING, 1)
    for number in (1, 2):
        crowd.ask("/api/chat", WHOLE | {"messages": [{"role": "user", "content": f"{number}"}]})
        assert proxy.counted(QUEUED, number)
    yield crowd
    gate.set()
    crowd.responses()


def test_the_queue_is_first_in_first_out(
    engine: ScriptedEngine, proxy: RunningProxy, crowd: Crowd, gate: threading.Event
) -> None:
    gate.set()

    assert [response.status_code for response in crowd.responses()] == [200] * 3
    texts = [call.json["messages"][0]["content"] for call in engine.calls()]
    assert texts == ["hi", "1", "2"]
    scrape = proxy.idle()
    assert scrape.value(RUNNING) == scrape.value(QUEUED) == 0
    assert scrape.value("mistral_queue_wait_seconds_count") == 2


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/api/chat", HELLO, BUSY),
        ("/api/chat", WHOLE, BUSY),
        ("/api/generate", {"model": MODEL, "prompt": "hi"}, BUSY),
        ("/api/embed", {"model": MODEL, "input": "hi"}, BUSY),
        ("/api/embeddings", {"model": MODEL, "prompt": "hi"}, BUSY),
        (
            "/v1/chat/completions",
            HELLO | {"stream": True},
            {"message": BUSY, "type": "api_error", "param": None, "code": None},
        ),
        ("/v1/messages", HELLO, {"type": "overloaded_error", "message": BUSY}),
    ],
)
def test_beyond_the_queue_a_request_is_refused_at_once(
    engine: ScriptedEngine,
    proxy: RunningProxy,
    path: str,
    body: dict[str, object],
    error: object,
) -> None:
    """With Ollama's words in each API's shape; the error type isn't the engine's."""
    response = proxy.http.post(path, json=body)

    assert response.status_code == 503
    assert response.json()["error"] == error
    assert int(response.headers["retry-after"]) > 0
    assert len(engine.calls()) == 1
    labels = {"endpoint": path.removeprefix("/api/").removeprefix("/").replace("/", "_")}
    assert proxy.counted("mistral_http_requests_total", 1, **labels, status="error")
    assert proxy.counted("mistral_request_errors_total", 1, **labels, error_type="overloaded")


@pytest.mark.usefixtures("crowd")
def test_what_needs_no_slot_is_answered_when_all_are_taken(proxy: RunningProxy) -> None:
    """Health checks, metrics, lists, and the empty prompt that loads a model."""
    for path in ("/", "/livez", "/readyz", "/metrics", "/api/tags", "/api/version", "/v1/models"):
        assert proxy.http.get(path).status_code == 200
    assert proxy.http.post("/api/generate", json={"model": MODEL}).status_code == 200

    scrape = proxy.scrape()
    assert (scrape.value(RUNNING), scrape.value(f"{RUNNING}_limit")) == (1, 1)
    assert (scrape.value(QUEUED), scrape.value(f"{QUEUED}_limit")) == (2, 2)


def test_a_waiting_client_that_disconnects_leaves_the_queue(
    engine: ScriptedEngine, proxy: RunningProxy, gate: threading.Event
) -> None:
    """It is cancelled, nothing is sent to the engine, and the next one moves up."""
    crowd = Crowd(proxy)
    crowd.ask("/api/chat", HELLO)
    assert proxy.counted(RUNNING, 1)
    body = json.dumps(WHOLE | {"messages": [{"role": "user", "content": "left"}]}).encode()
    with socket.create_connection(("127.0.0.1", proxy.port)) as leaving:
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        leaving.sendall(head.encode() + body)
        assert proxy.counted(QUEUED, 1)
    assert proxy.counted(QUEUED, 0)
    crowd.ask("/api/chat", WHOLE | {"messages": [{"role": "user", "content": "stayed"}]})
    assert proxy.counted(QUEUED, 1)
    gate.set()

    assert [response.status_code for response in crowd.responses()] == [200, 200]
    texts = [call.json["messages"][0]["content"] for call in engine.calls()]
    assert texts == ["hi", "stayed"]
    proxy.idle()
    assert proxy.counted("mistral_http_requests_total", 1, endpoint="chat", status="cancelled")
    assert proxy.counted("mistral_http_requests_total", 2, endpoint="chat", status="success")


def test_a_slot_is_free_again_however_its_request_ended(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """With success, an error of the engine, or a missing model."""
    proxy.http.post("/api/chat", json=WHOLE)
    engine.chat(json_reply({"message": "boom"}, 500))
    proxy.http.post("/api/chat", json=WHOLE)
    engine.status_of[MODEL] = "unloaded"
    engine.on("/v1/models/reload", json_reply({"status": "not_found"}))
    proxy.probe()
    assert proxy.http.post("/api/chat", json=WHOLE).status_code == 404

    assert eventually(lambda: proxy.scrape().value(RUNNING) == 0)


def test_a_request_that_waited_reaches_its_model_only_while_that_is_loaded(
    engine: ScriptedEngine, settings: ProxySettings, gate: threading.Event
) -> None:
    """The engine would never reply for a model that it unloaded.

    The model is either unloaded before the request begins, or after it.
    """
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        crowd = Crowd(proxy)
        crowd.ask("/api/chat", HELLO | {"keep_alive": 0})
        assert proxy.counted(RUNNING, 1)
        crowd.ask("/api/chat", WHOLE)
        assert proxy.counted(QUEUED, 1)
        gate.set()
        assert [response.status_code for response in crowd.responses()] == [200, 200]

    posts = [request.path for request in engine.received if request.method == "POST"]
    chat, unload, reload = "/v1/chat/completions", "/v1/models/unload", "/v1/models/reload"
    assert posts in ([chat, unload, reload, chat], [chat, chat], [chat, chat, unload])
