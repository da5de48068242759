"""Paths, methods and headers of every response."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from tests.proxy.bodies import CHAT, GENERATE
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, Body, ScriptedEngine


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("POST", "/api/chat", 200),
        ("POST", "/v1/chat/completions", 200),
        ("GET", "/nope", 404),
        ("OPTIONS", "/api/chat", 204),
    ],
)
def test_every_response_has_a_date(
    proxy: RunningProxy, method: str, path: str, status: int
) -> None:
    """Whole, streamed, refused and preflight, as with Go's server."""
    before = datetime.now(UTC).replace(microsecond=0)
    headers = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
    response = proxy.http.request(method, path, json=CHAT | {"stream": True}, headers=headers)

    assert response.status_code == status
    assert before <= parsedate_to_datetime(response.headers["date"]) <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", CHAT),
        ("/api/generate", GENERATE),
        ("/api/generate", GENERATE | {"raw": True}),
        ("/api/pull", {"model": MODEL}),
        ("/v1/chat/completions", CHAT),
    ],
    ids=["chat", "generate", "raw", "pull", "v1"],
)
def test_only_a_stream_tells_reverse_proxies_not_to_buffer_it(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, body: Body
) -> None:
    """Neither a whole response does, nor an error before the first chunk."""
    streamed = proxy.http.post(path, json=body | {"stream": True})
    whole = proxy.http.post(path, json=body | {"stream": False})
    engine.stop()
    refused = proxy.http.post("/api/chat", json=CHAT | {"stream": True})

    assert refused.status_code == 503
    assert streamed.headers["x-accel-buffering"] == "no"
    assert streamed.headers["cache-control"] == "no-cache"
    for response in (whole, refused):
        assert {"x-accel-buffering", "cache-control"}.isdisjoint(response.headers)


@pytest.mark.parametrize("path", ["/nope", "/api", "/api/nope", "/v1/nope", "/api/chat/x"])
def test_unknown_paths_are_a_404_as_in_go(proxy: RunningProxy, path: str) -> None:
    response = proxy.http.get(path)

    assert (response.status_code, response.text) == (404, "404 page not found")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH"])
def test_wrong_methods_are_a_405_as_in_go(proxy: RunningProxy, method: str) -> None:
    response = proxy.http.request(method, "/api/chat")

    assert (response.status_code, response.text) == (405, "405 method not allowed")


def test_a_request_id_is_sent_to_the_engine_and_returned(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """So that it is in both logs; an invalid one is replaced."""
    sent = proxy.http.post("/api/chat", json=CHAT, headers={"X-Request-ID": "abc-1"})
    odd = proxy.http.post("/api/chat", json=CHAT, headers={"X-Request-ID": 'a"b c'})

    assert sent.headers["x-request-id"] == "abc-1"
    assert odd.headers["x-request-id"] != 'a"b c'
    assert engine.calls()[0].headers["x-request-id"] == "abc-1"
