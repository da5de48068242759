"""How much the proxy keeps of the engine's replies, of one and of all together."""

import json
import threading
from collections.abc import Callable, Iterator

import pytest

from proxy_service.engines.client import MAX_EMBEDDINGS_BYTES, MAX_REPLY_BYTES
from proxy_service.settings.schema import ProxySettings
from tests.proxy.bodies import CHAT, GENERATE
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    Reply,
    ScriptedEngine,
    completion,
    delta_event,
    json_reply,
    stream,
)
from tests.proxy.server.test_connection import STREAMED, WHOLE, Client, request

KEPT_BYTES = 1_000_000
LARGE = "y" * 800_000
EMBEDDINGS = "/v1/embeddings"


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_reply_has_a_limit(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, status: int
) -> None:
    """Errors of the engine, too; whatever it would send is not waited for."""
    engine.chat(Reply((b"x" * MAX_REPLY_BYTES, b"y" * 1_000_000), status=status, length=True))

    response = proxy.http.post(path, json=CHAT | {"stream": False})

    assert response.status_code == 502
    assert "longer than 16 MiB; ask for less in one request" in response.text


@pytest.mark.parametrize(("extra", "status"), [(-1, 200), (1, 502)])
def test_embeddings_may_be_longer(
    engine: ScriptedEngine, proxy: RunningProxy, extra: int, status: int
) -> None:
    number = b"-0.0123456789,"
    count = (MAX_EMBEDDINGS_BYTES // len(number) + extra * 10_000) // 2
    vector = b"[%b0]" % (number * count)
    items = b",".join(b'{"index":%d,"embedding":%b}' % (index, vector) for index in (1, 0))
    engine.on(EMBEDDINGS, Reply((b'{"data":[%b]}' % items,)))

    response = proxy.http.post("/api/embed", json={"model": MODEL, "input": ["x", "y"]})

    assert response.status_code == status


@pytest.fixture
def small(settings: ProxySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningProxy]:
    """Return a proxy that may keep only `KEPT_BYTES`."""
    monkeypatch.setattr("proxy_service.engines.client.KEPT_REPLIES_BYTES", KEPT_BYTES)
    with RunningProxy(settings) as running:
        yield running


def half_a_reply(go_on: threading.Event) -> Reply:
    body = completion(LARGE).steps[0]
    assert isinstance(body, bytes)
    return Reply((body[:-10], go_on, body[-10:]))


def half_an_event(go_on: threading.Event) -> Reply:
    event = delta_event(LARGE)
    return stream(event[:-10], go_on, event[-10:], delta_event("", finish="stop"), DONE)


def half_a_tool_call(go_on: threading.Event) -> Reply:
    call = {"index": 0, "id": "1", "function": {"name": "f", "arguments": json.dumps({"x": LARGE})}}
    return stream(delta_event(tool_calls=[call]), go_on, delta_event("", finish="stop"), DONE)


@pytest.mark.parametrize(
    ("path", "body", "script"),
    [
        ("/api/chat", WHOLE, half_a_reply),
        ("/v1/chat/completions", WHOLE, half_a_reply),
        ("/api/chat", STREAMED, half_an_event),
        ("/v1/chat/completions", STREAMED.replace(b"{", b'{"stream":true,', 1), half_an_event),
        ("/api/chat", STREAMED, half_a_tool_call),
    ],
)
def test_all_replies_have_a_limit_together(
    engine: ScriptedEngine,
    small: RunningProxy,
    path: str,
    body: bytes,
    script: Callable[[threading.Event], Reply],
) -> None:
    """A further large one gets an error, ordinary ones pass, and the room is released."""
    go_on = threading.Event()
    engine.chat(script(go_on))
    with Client(small) as first, Client(small) as second:
        first.send(request(body, path=path))
        small.put_forward_in_silence(engine, 0)
        engine.chat(completion(LARGE))

        def status() -> int:
            second.send(request(WHOLE))
            return second.response()[0].status

        assert status() == 503
        engine.chat(completion("short"))
        assert status() == 200
        go_on.set()
        assert first.response()[0].status == 200
        engine.chat(completion(LARGE))
        assert eventually(lambda: status() == 200)


def test_vectors_count_like_the_reply_that_they_were_made_of(
    engine: ScriptedEngine, small: RunningProxy
) -> None:
    data = [{"index": i, "embedding": [1 / 3] * 500} for i in range(64)]
    engine.on(EMBEDDINGS, json_reply({"data": data}))

    response = small.http.post("/api/embed", json={"model": MODEL, "input": ["x"] * 64})

    assert response.status_code == 503
    assert "replies to all pending requests" in response.json()["error"]


def test_a_context_is_left_out_if_its_reply_is_long(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """A stream keeps its text for the context, but no more than may be in one."""
    for count, has_context in ((1, True), (20, False)):
        pieces = [delta_event("z" * 20_000 + "\u00e9")] * count
        engine.chat(stream(*pieces, delta_event("", finish="stop"), DONE))
        lines = proxy.http.post("/api/generate", json=GENERATE | {"stream": True}).text.splitlines()
        assert ("context" in json.loads(lines[-1])) is has_context
