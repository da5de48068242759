"""Bodies above a MiB are worked on beside the event loop, one at a time."""

import json
import threading

import httpx
import pytest

from proxy_service.server.budgets import SMALL_BODY_BYTES
from tests.proxy.bodies import CHAT
from tests.proxy.running import TIMEOUT_SECONDS, RunningProxy, eventually
from tests.proxy.scripted_engine import ScriptedEngine

LONG_TEXT = "a" * SMALL_BODY_BYTES
LARGE = CHAT | {"stream": False, "messages": [{"role": "user", "content": LONG_TEXT}]}
SMALL = CHAT | {"stream": False}


class Client(threading.Thread):
    """A client that sends a large body from a thread of its own."""

    def __init__(self, proxy: RunningProxy) -> None:
        super().__init__()
        self._url = f"{proxy.url}/api/chat"
        self.response: httpx.Response | None = None

    def run(self) -> None:
        self.response = httpx.post(self._url, json=LARGE, timeout=TIMEOUT_SECONDS, trust_env=False)


def test_others_are_answered_while_a_large_body_waits_for_another(
    proxy: RunningProxy, engine: ScriptedEngine
) -> None:
    client = Client(proxy)
    with proxy.busy_with_a_large_body():
        client.start()
        assert proxy.counted("mistral_active_requests", 1)

        assert proxy.http.post("/api/chat", json=SMALL).status_code == 200
        assert len(engine.calls()) == 1
    client.join()

    assert client.response is not None
    assert client.response.status_code == 200
    assert engine.calls()[1].json["messages"][0]["content"] == LONG_TEXT


def test_a_client_that_leaves_meanwhile_is_not_served(
    proxy: RunningProxy, engine: ScriptedEngine
) -> None:
    with proxy.busy_with_a_large_body():
        with pytest.raises(httpx.ReadTimeout):
            proxy.http.post("/api/chat", json=LARGE, timeout=httpx.Timeout(30, read=0.001))
        assert proxy.counted("mistral_http_requests_total", 1, endpoint="chat", status="cancelled")
        assert proxy.counted("mistral_active_requests", 0)

    assert proxy.http.post("/api/chat", json=SMALL).status_code == 200
    assert len(engine.calls()) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [("show", 200), ("pull", 200), ("push", 501), ("create", 501), ("copy", 400), ("delete", 501)],
)
def test_a_large_body_is_read_everywhere(proxy: RunningProxy, path: str, status: int) -> None:
    body = json.dumps(CHAT | {"stream": False, "system": LONG_TEXT}).encode()
    method = "DELETE" if path == "delete" else "POST"
    response = proxy.http.request(method, f"/api/{path}", content=body)

    assert response.status_code == status, response.text


def test_an_error_in_a_large_body_is_the_clients(proxy: RunningProxy) -> None:
    response = proxy.http.post("/api/chat", content=json.dumps(LARGE)[:-1])

    assert (response.status_code, response.json()) == (400, {"error": "unexpected EOF"})
    assert eventually(lambda: proxy.scrape().value("mistral_active_requests") == 0)
