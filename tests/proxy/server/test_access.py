"""Which requests are allowed: keys, the Host check and web origins, on real sockets."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import ollama
import pytest

from proxy_service.routes.table import ROUTES
from proxy_service.server.access import MOST_WAITING, WRONG_KEYS, WrongKeys
from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.values import BindAddress
from tests.proxy.running import Exposition, RunningProxy, SteppedClock, eventually
from tests.proxy.scripted_engine import MODEL, ScriptedEngine
from tests.proxy.server.test_connection import Client

KEY, OTHER_KEY, METRICS_KEY = "first-key-012345", "second-key-01234", "metrics-key-0123"
BEARER = {"Authorization": f"Bearer {KEY}"}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "stream": False}
OPEN = {"/", "/livez", "/readyz"}
METRICS = {"/metrics", "/api/metrics"}
CLOSED = [
    (method, route.path.partition("<")[0] + ("x" if "<" in route.path else ""))
    for route in ROUTES
    for method in route.methods
    if route.path not in OPEN
]


@pytest.fixture(scope="module")
def shared_engine() -> Iterator[ScriptedEngine]:
    with ScriptedEngine() as running:
        yield running


@pytest.fixture(scope="module")
def guarded(shared_engine: ScriptedEngine) -> Iterator[RunningProxy]:
    settings = ProxySettings(
        engine_url=shared_engine.url, api_keys=(KEY, OTHER_KEY), metrics_keys=(METRICS_KEY,)
    )
    with RunningProxy(settings) as proxy:
        assert eventually(lambda: proxy.http.get("/readyz").status_code == 200)
        yield proxy


@pytest.mark.parametrize(("method", "path"), [*CLOSED, ("GET", "/nowhere"), ("TRACE", "/api/chat")])
def test_only_health_checks_are_open_without_a_key(
    shared_engine: ScriptedEngine, guarded: RunningProxy, method: str, path: str
) -> None:
    """The routes are those of the table, so that none is forgotten."""
    asked = len(shared_engine.received)
    response = guarded.http.request(method, path)

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert len(shared_engine.received) == asked


@pytest.mark.parametrize("path", sorted(OPEN))
def test_health_checks_need_no_key(guarded: RunningProxy, path: str) -> None:
    assert guarded.http.get(path).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        BEARER,
        {"Authorization": f"bearer   {KEY}"},
        {"Authorization": f"Bearer {OTHER_KEY}"},
        {"x-api-key": KEY},
    ],
    ids=["Bearer", "any case and blanks", "a second key", "as Anthropic's clients"],
)
def test_a_key_opens_everything(guarded: RunningProxy, headers: dict[str, str]) -> None:
    assert guarded.http.post("/api/chat", json=CHAT, headers=headers).status_code == 200
    assert guarded.http.get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY}x",
        f"Bearer {KEY.upper()}",
        f"Basic {KEY}",
        KEY,
        f"Bearer {METRICS_KEY}",
        "Bearer \xff",
    ],
)
def test_an_invalid_key_opens_nothing(guarded: RunningProxy, header: str) -> None:
    headers = {b"Authorization": header.encode("latin-1")}

    assert guarded.http.get("/api/tags", headers=headers).status_code == 401


def test_the_metrics_key_opens_only_the_metrics(guarded: RunningProxy) -> None:
    headers = {"Authorization": f"Bearer {METRICS_KEY}"}

    for path in METRICS:
        assert guarded.http.get(path, headers=headers).status_code == 200
        assert guarded.http.get(f"{path}/", headers=headers).status_code == 200
    assert guarded.http.get("/api/tags", headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "logged"),
    [
        ("GET", "/metrics", "/metrics"),
        ("GET", "/health", "/health"),
        ("OPTIONS", "/x/secret", None),
    ],
)
def test_a_wrong_key_is_logged_where_nothing_is_counted(
    guarded: RunningProxy,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    logged: str | None,
) -> None:
    """The line has neither the key nor a path that the client made up."""
    sent = {"Authorization": "Bearer wrong", "X-Request-ID": "abc-1"}
    assert guarded.http.request(method, path, headers=sent).status_code == 401

    assert eventually(lambda: "unauthorized" in caplog.messages)
    (record,) = [record for record in caplog.records if record.message == "unauthorized"]
    assert record.levelname == "WARNING"
    assert record.__dict__["fields"] == {
        "request_id": "abc-1",
        "client_address": "127.0.0.1",
        "method": method,
        "path": logged,
    }


def test_a_wrong_key_is_logged_although_its_client_disconnects(
    guarded: RunningProxy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its refusal waits."""
    monkeypatch.setattr(WrongKeys, "wait_seconds", lambda *_: 1e6)
    with Client(guarded) as client:
        client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: wrong\r\n\r\n")
        assert client.was_read()

    assert eventually(lambda: "unauthorized" in caplog.messages)
    (record,) = [record for record in caplog.records if record.message == "unauthorized"]
    assert record.__dict__["fields"]["client_address"] == "127.0.0.1"


def test_a_refusal_is_logged_with_the_clients_address(
    guarded: RunningProxy, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """And no other request is."""
    caplog.set_level("INFO")
    written: list[str] = []

    def finished() -> list[object]:
        written.extend(capsys.readouterr().out.splitlines())
        events = [json.loads(line) for line in written if '"request_finished"' in line]
        return [event.get("client_address") for event in events]

    assert guarded.http.get("/api/tags", headers=BEARER).status_code == 200
    assert guarded.http.get("/api/tags").status_code == 401
    assert eventually(lambda: finished() == [None, "127.0.0.1"])


def test_an_address_that_sends_many_wrong_keys_waits_longer_and_longer() -> None:
    """Up to a limit, and not for ever. Other addresses don't wait."""
    clock = SteppedClock()
    keys = WrongKeys(clock)

    assert [keys.wait_seconds("a") for _ in range(WRONG_KEYS)] == [0] * WRONG_KEYS
    assert [keys.wait_seconds("a") for _ in range(MOST_WAITING)] == [*range(1, MOST_WAITING + 1)]
    assert [keys.wait_seconds("a") for _ in range(100)] == [None] * 100
    assert keys.wait_seconds("b") == 0
    clock.ahead_seconds = 1
    assert [keys.wait_seconds("a") for _ in range(2)] == [MOST_WAITING, None]
    clock.ahead_seconds = WRONG_KEYS + MOST_WAITING + 1
    assert keys.wait_seconds("a") == 0


def test_the_number_of_addresses_that_are_remembered_is_limited() -> None:
    """Those that were seen last stay."""
    keys = WrongKeys(SteppedClock())
    for _ in range(WRONG_KEYS):
        keys.wait_seconds("a")
    for number in range(1023):
        keys.wait_seconds(f"{number}")
    assert keys.wait_seconds("a") == 1
    for number in range(1024):
        keys.wait_seconds(f"other {number}")
    assert keys.wait_seconds("a") == 0


def test_only_the_refusal_of_a_wrong_key_waits(
    settings: ProxySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients at the same address with the right key, or with none, don't."""
    wrong = {"Authorization": "Bearer wrong"}
    monkeypatch.setattr(WrongKeys, "wait_seconds", lambda *_: 1e6)
    with RunningProxy(replace(settings, api_keys=(KEY,))) as proxy, ThreadPoolExecutor() as pool:
        proxy.http.headers.update(BEARER)

        def status(headers: dict[str, str]) -> int:
            with httpx.Client(base_url=proxy.url, timeout=30, trust_env=False) as client:
                return client.get("/api/tags", headers=headers).status_code

        waiting = pool.submit(status, wrong)
        assert proxy.counted("mistral_active_requests", 1)
        assert (status(BEARER), status({})) == (200, 401)
        proxy.put_forward(2e6)
        assert waiting.result() == 401
        monkeypatch.setattr(WrongKeys, "wait_seconds", lambda *_: None)
        assert status(wrong) == 429


def test_a_shutdown_ends_the_wait_of_a_refusal(
    settings: ProxySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WrongKeys, "wait_seconds", lambda *_: 1e6)
    with RunningProxy(replace(settings, api_keys=(KEY,))) as proxy, ThreadPoolExecutor() as pool:
        proxy.http.headers.update(BEARER)
        waiting = pool.submit(
            httpx.get,
            f"{proxy.url}/api/tags",
            headers={"Authorization": "Bearer wrong"},
            timeout=30,
            trust_env=False,
        )
        assert proxy.counted("mistral_active_requests", 1)
        proxy.begin_stop()
        assert waiting.result().status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),
    ],
)
def test_a_page_that_sends_no_origin_is_recognised(
    proxy: RunningProxy, headers: dict[str, str], status: int
) -> None:
    """A page's images, scripts and frames have no `Origin`; a link that is followed is allowed."""
    assert proxy.http.get("/api/tags", headers=headers).status_code == status


def test_any_page_may_load_anything_if_every_origin_is_allowed(settings: ProxySettings) -> None:
    with RunningProxy(replace(settings, origins=("*",))) as proxy:
        response = proxy.http.get("/api/tags", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 200


def test_with_only_a_metrics_key_only_the_metrics_are_closed(settings: ProxySettings) -> None:
    with RunningProxy(replace(settings, metrics_keys=(METRICS_KEY,))) as proxy:
        assert proxy.http.get("/api/tags").status_code == 200
        assert proxy.http.get("/metrics").status_code == 401


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/chat", {"error": "MESSAGE"}),
        (
            "/v1/chat/completions",
            {
                "error": {
                    "message": "MESSAGE",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "invalid_api_key",
                }
            },
        ),
        (
            "/v1/messages",
            {"type": "error", "error": {"type": "authentication_error", "message": "MESSAGE"}},
        ),
    ],
)
def test_the_refusal_has_the_shape_of_the_api_that_was_called(
    guarded: RunningProxy, path: str, expected: object
) -> None:
    message = "unauthorized: send the API key in the header Authorization: Bearer KEY"
    response = guarded.http.post(path, json=CHAT)

    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert str(response.json()) == str(expected).replace("MESSAGE", message)


def test_refusals_are_counted_without_text_from_the_request(guarded: RunningProxy) -> None:
    """A client without a key can't make up labels."""

    def exposed() -> Exposition:
        return Exposition(guarded.http.get("/metrics", headers=BEARER).text)

    labels = {"endpoint": "unmatched", "error_type": "unauthorized"}
    before = exposed().value("mistral_request_errors_total", **labels)
    for path in ("/api/chat", "/made-up/path"):
        guarded.http.post(path, json=CHAT)

    assert eventually(
        lambda: exposed().value("mistral_request_errors_total", **labels) == before + 2
    )
    assert not [label for label in exposed().label_values("endpoint") if "made-up" in label]


def test_a_client_without_a_key_is_refused_before_its_body_arrives(guarded: RunningProxy) -> None:
    """So that it can't make the proxy hold an upload."""
    head = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as client:
        client.sendall(head)
        assert client.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_ollamas_own_client_sends_its_key(
    monkeypatch: pytest.MonkeyPatch, guarded: RunningProxy
) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    with ollama.Client(guarded.url) as client:
        assert client.list().models[0].model == f"{MODEL}:latest"
    monkeypatch.delenv("OLLAMA_API_KEY")
    with ollama.Client(guarded.url) as client, pytest.raises(ollama.ResponseError) as raised:
        client.list()
    assert raised.value.status_code == 401


def test_a_preflight_needs_no_key_and_a_page_can_read_its_refusal(
    guarded: RunningProxy,
) -> None:
    """Browsers send a preflight without credentials."""
    page = {"Origin": "http://localhost:3000"}
    preflight = guarded.http.options(
        "/api/chat", headers=page | {"Access-Control-Request-Method": "POST"}
    )
    refused = guarded.http.post("/api/chat", json=CHAT, headers=page)

    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == page["Origin"]


@pytest.mark.parametrize(
    ("listed", "host", "status"),
    [
        ((), "evil.example", 200),
        (("box.example",), "evil.example", 403),
        (("box.example",), "Box.Example:8080", 200),
        (("box.example",), "127.0.0.1:11434", 200),
        (("box.example",), "box.example.evil.example", 403),
        (("box.example", "*"), "evil.example", 200),
    ],
)
def test_on_all_addresses_only_listed_hosts_are_allowed(
    settings: ProxySettings, listed: tuple[str, ...], host: str, status: int
) -> None:
    """In a container the proxy binds to all addresses; any host is allowed if none is listed."""
    public = replace(settings, bind=BindAddress("0.0.0.0", 11434), hosts=listed)
    with RunningProxy(public) as proxy:
        assert proxy.http.get("/api/version", headers={"Host": host}).status_code == status


def test_a_listed_host_is_allowed_on_loopback(settings: ProxySettings) -> None:
    with RunningProxy(replace(settings, hosts=("box.example",))) as proxy:
        assert proxy.http.get("/", headers={"Host": "box.example:11434"}).status_code == 200
        assert proxy.http.get("/", headers={"Host": "evil.example"}).status_code == 403
