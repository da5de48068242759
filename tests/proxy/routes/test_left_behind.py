"""What a request leaves behind in memory: nothing that waits for the garbage collector.

A body of 50 MiB that waits for the collector is memory that no limit counts.
"""

import gc
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from proxy_service.exchange import Exchange
from proxy_service.server.request import IncomingRequest
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import (
    MODEL,
    Reply,
    ScriptedEngine,
    Step,
    delta_event,
    json_reply,
    stream,
)

MESSAGES = [{"role": "user", "content": "hi"}]
CHAT: dict[str, Any] = {"model": MODEL, "messages": MESSAGES}

REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a whole response": ("/api/chat", CHAT | {"stream": False}),
    "a stream": ("/api/chat", CHAT),
    "a stream under /v1": ("/v1/chat/completions", CHAT | {"stream": True}),
    "a wrong type": ("/api/chat", CHAT | {"messages": 1}),
    "an unknown model": ("/api/generate", {"model": "none", "prompt": "a"}),
    "an unknown model of an embedding": ("/api/embed", {"model": "none", "input": "a"}),
    "an unknown model under /v1": ("/v1/chat/completions", CHAT | {"model": "none"}),
    "what isn't supported": ("/api/generate", {"model": MODEL, "prompt": "a", "suffix": "b"}),
    "what isn't implemented": ("/api/pull", {"model": "a"}),
}
REPLIES = {
    "an error": json_reply({"message": "failed"}, 500),
    "no JSON": Reply((b"?",), length=True),
    "a reset": stream(Step.RESET),
    "a stream that breaks off": stream(delta_event("a"), Step.CUT),
    "an event of an unknown format": stream(delta_event("a"), b"data: []\n\n"),
    "an error as an event": stream(delta_event("a"), b'data: {"message":"failed"}\n\n'),
    "not even HTTP": Reply((b"?",), raw=True),
}
HEAD = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n"
RAW = {
    "a malformed head": HEAD + b"no colon\r\n\r\n",
    "too many headers": HEAD + b"a:\r\n" * 200,
    "a malformed body": HEAD + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
    "a body that is too large": HEAD + b"Content-Length: 99999999999\r\n\r\n",
    "a foreign origin": HEAD + b"Origin: http://example.org\r\nContent-Length: 2\r\n\r\n{}",
    "half a head": HEAD,
}


@pytest.fixture(autouse=True)
def _no_collector() -> Iterator[None]:
    gc.disable()
    gc.freeze()  # older objects aren't looked at
    yield
    gc.unfreeze()
    gc.enable()


def nothing_left() -> bool:
    """Wait until no request is in memory any more; return whether that happens."""

    def left() -> bool:
        return any(isinstance(thing, Exchange | IncomingRequest) for thing in gc.get_objects())

    return eventually(lambda: not left())


def test_a_request_leaves_nothing_behind(proxy: RunningProxy) -> None:
    """Whether it is answered or refused."""
    for name, (path, body) in REQUESTS.items():
        proxy.http.post(path, json=body)

        assert nothing_left(), name


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_request_whose_reply_is_wrong_leaves_nothing_behind(
    proxy: RunningProxy, engine: ScriptedEngine, *, streamed: bool, path: str
) -> None:
    for name, reply in REPLIES.items():
        engine.chat(reply)
        proxy.http.post(path, json=CHAT | {"stream": streamed})

        assert nothing_left(), name


def test_a_request_that_is_malformed_leaves_nothing_behind(proxy: RunningProxy) -> None:
    """The client disconnects once the proxy has read it, and perhaps answered."""
    for name, data in RAW.items():
        with socket.create_connection(("127.0.0.1", proxy.port)) as client:
            client.sendall(data)
            assert proxy.has_read(len(data), port=client.getsockname()[1])

        assert nothing_left(), name


def test_a_client_that_disconnects_within_a_stream_leaves_nothing_behind(
    proxy: RunningProxy, engine: ScriptedEngine
) -> None:
    engine.chat(stream(delta_event("a"), Step.STALL))

    with proxy.http.stream("POST", "/api/chat", json=CHAT) as response:
        next(response.iter_lines())

    assert nothing_left()
