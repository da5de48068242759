"""The proxy's side of HTTP/1.1, as clients see it on raw sockets."""

import gc
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

import pytest

from proxy_service.errors import ProxyError
from proxy_service.server.budgets import HeadBudget, response_room
from proxy_service.server.connection import LOWEST_BYTES_PER_SECOND, ClientConnection
from proxy_service.server.request import MAX_PIPELINED, IncomingRequest, RequestReader
from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.values import MIB
from tests.proxy.running import TIMEOUT_SECONDS, RunningProxy, eventually
from tests.proxy.scripted_engine import (
    MODEL,
    ScriptedEngine,
    Step,
    completion,
    delta_event,
    stream,
    words,
)

CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
WHOLE = json.dumps(CHAT | {"stream": False}).encode()
STREAMED = json.dumps(CHAT).encode()
REQUESTS = "mistral_http_requests_total"
ERRORS = "mistral_request_errors_total"


def request(body: bytes, *headers: str, version: str = "1.1", path: str = "/api/chat") -> bytes:
    """Return a POST whose body is framed by its length."""
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "\r\n"]).encode() + body


class Client:
    """One connection to the proxy, for bytes."""

    def __init__(self, proxy: RunningProxy) -> None:
        self._socket = socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_SECONDS)
        self._file = self._socket.makefile("rb")
        self._proxy = proxy
        self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)
        self._sent += len(data)

    def was_read(self) -> bool:
        """Wait until the proxy has read all that was sent; return whether it has."""
        return self._proxy.has_read(self._sent, port=self._socket.getsockname()[1])

    def send_no_more(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def line(self) -> bytes:
        """Read one line."""
        return self._file.readline()

    def response(self, method: str = "POST") -> tuple[http.client.HTTPResponse, bytes]:
        """Read one response, head and body, and nothing of the next one."""
        response = http.client.HTTPResponse(self._socket, method=method)
        response.fp.close()
        response.fp = self._file
        # The end of a response must not close the file, from which the next one is read.
        response._close_conn = lambda: None  # type: ignore[attr-defined]  # noqa: SLF001
        response.begin()
        body = response.read()
        response.fp = None  # type: ignore[assignment]  # it would flush the file, which may be closed
        return response, body

    def ended(self) -> bool:
        """Wait for the end of the connection; return whether nothing was sent before it."""
        return self._file.read(1) == b""


@pytest.fixture
def client(proxy: RunningProxy) -> Iterator[Client]:
    with Client(proxy) as connected:
        yield connected


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(
            request(b"0\r\n\r\n", "Transfer-Encoding: chunked"), id="a length beside chunks"
        ),
        pytest.param(request(WHOLE, "Content-Length: 3"), id="two lengths"),
        pytest.param(request(WHOLE, "X: a", " folded"), id="a folded line"),
        pytest.param(request(WHOLE).replace(b"\r\n", b"\n"), id="bare line feeds"),
        pytest.param(request(WHOLE, "X : a"), id="space before a colon"),
        pytest.param(request(WHOLE, "X: a\0b"), id="NUL"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01", id="TLS"),
    ],
)
def test_an_ambiguous_request_is_refused_and_counted_once(
    proxy: RunningProxy, client: Client, sent: bytes
) -> None:
    client.send(sent + request(WHOLE, path="/smuggled"))

    response, body = client.response()

    assert response.status == 400
    assert response.headers["connection"] == "close"
    assert "malformed" in json.loads(body)["error"]
    assert client.ended()
    assert proxy.counted(REQUESTS, 1, endpoint="unmatched", status="client_error")
    assert proxy.idle().value(REQUESTS, endpoint="chat", status="success") == 0


def test_a_target_that_is_not_a_url_is_a_400(client: Client) -> None:
    client.send(b"GET http://[::1/api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n")

    response, body = client.response("GET")

    assert (response.status, "URL" in json.loads(body)["error"]) == (400, True)


def test_bad_framing_of_a_body_counts_for_its_endpoint(proxy: RunningProxy, client: Client) -> None:
    head = "POST /api/chat HTTP/1.1\r\nHost: x.local\r\nTransfer-Encoding: chunked\r\n\r\n"
    client.send(head.encode() + b"zz\r\n")

    response, body = client.response()

    assert response.status == 400
    assert json.loads(body)["error"] == "malformed HTTP request: Invalid character in chunk size"
    assert client.ended()
    assert proxy.counted(REQUESTS, 1, endpoint="chat", status="client_error")


def test_pipelined_requests_are_answered_in_order(client: Client) -> None:
    bodies = [WHOLE, STREAMED, WHOLE]
    client.send(b"".join(map(request, bodies)))

    responses = [client.response()[1].splitlines() for _ in bodies]

    assert [len(lines) > 1 for lines in responses] == [False, True, False]
    assert all(json.loads(lines[-1])["done"] for lines in responses)


def test_the_number_of_pipelined_requests_is_limited(
    engine: ScriptedEngine, client: Client
) -> None:
    """The first one beyond the limit gets an error, and the connection is closed."""
    go_on = threading.Event()
    engine.chat(stream(go_on, delta_event("x", finish="stop")))
    ping = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client.send(request(STREAMED))
    assert eventually(lambda: bool(engine.calls()))
    client.send(ping * (MAX_PIPELINED + 1))  # so short that the proxy reads all at once
    assert client.was_read()
    go_on.set()

    assert client.response()[0].status == 200
    assert [client.response("GET")[0].status for _ in range(MAX_PIPELINED)] == [200] * MAX_PIPELINED
    last, body = client.response("GET")
    assert last.status == 400
    assert json.loads(body)["error"].startswith("more than 16 requests are waiting")
    assert client.ended()


def test_a_disconnect_is_noticed_behind_a_pipelined_request(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(Step.STALL))
    with Client(proxy) as client:
        client.send(request(WHOLE) + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert eventually(lambda: bool(engine.calls()))

    assert eventually(engine.calls()[0].gone.is_set)
    assert proxy.counted(REQUESTS, 1, endpoint="chat", status="cancelled")


def test_a_body_that_no_endpoint_reads_is_not_waited_for(client: Client) -> None:
    """It would use up the budget for bodies; the connection is closed instead."""
    client.send(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx")

    assert client.response("GET")[0].status == 200
    client.send_no_more()
    assert client.ended()


def test_a_connection_is_kept_after_any_status(proxy: RunningProxy, client: Client) -> None:
    statuses = []
    for body, path in ((WHOLE, "/api/chat"), (b"{", "/api/chat"), (b"", "/no"), (WHOLE, "/api/me")):
        client.send(request(body, path=path))
        statuses.append(client.response()[0].status)

    assert statuses == [200, 400, 404, 401]
    assert proxy.idle().value(REQUESTS, endpoint="chat", status="success") == 1


def test_a_chunked_upload_is_one_body(client: Client, engine: ScriptedEngine) -> None:
    client.send(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
    for byte in WHOLE:
        client.send(b"1;extension=1\r\n%c\r\n" % byte)
    client.send(b"0\r\nX-Trailer: 1\r\n\r\n")

    assert client.response()[0].status == 200
    assert engine.calls()[0].json["messages"] == [{"role": "user", "content": "x"}]


def test_a_client_that_expects_100_continue_gets_it(client: Client) -> None:
    head, body = request(WHOLE, "Expect: 100-continue")[: -len(WHOLE)], WHOLE
    client.send(head)

    assert client.line() + client.line() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(body)
    assert client.response()[0].status == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999", 413),
        ("POST /api/chat HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 5", 403),
        ("POST /no/where HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5", 404),
        ("POST /api/chat HTTP/1.1\r\nHost: localhost\r\nExpect: a-miracle", 417),
    ],
)
def test_a_refused_client_need_not_send_the_body(client: Client, head: str, status: int) -> None:
    """It gets no 100, and the connection is closed, because a body may or may not follow."""
    client.send(f"{head}\r\nExpect: 100-continue\r\n\r\n".encode())

    response, _ = client.response()

    assert response.status == status
    assert response.headers["connection"] == "close"
    assert client.ended()


def test_a_client_that_sends_too_much_can_read_why(proxy: RunningProxy, client: Client) -> None:
    """The proxy reads on for a while: a reset would destroy the response."""
    size = proxy.settings.max_body_bytes + 1
    client.send(request(b"", f"X-Size: {size}").replace(b"Length: 0", f"Length: {size}".encode()))
    client.send(b" " * 4_000_000)

    response, body = client.response()

    assert response.status == 413
    assert "MAX_BODY_MIB" in json.loads(body)["error"]
    assert client.ended()
    assert proxy.counted(REQUESTS, 1, endpoint="chat", status="client_error")


def test_all_bodies_together_are_limited(settings: ProxySettings) -> None:
    """To three of the largest size; more are refused until one is answered or cancelled."""
    large = request(json.dumps(CHAT | {"stream": False, "ignored": " " * 1_900_000}).encode())
    with RunningProxy(replace(settings, max_body_bytes=2 * MIB)) as proxy, ExitStack() as held:

        def status() -> int:
            with Client(proxy) as one:
                one.send(large)
                return one.response()[0].status

        assert [status() for _ in range(5)] == [200] * 5
        for _ in range(3):
            held.enter_context(Client(proxy)).send(large[:-1])
        assert eventually(lambda: status() == 503)
        held.close()
        assert eventually(lambda: status() == 200)
        assert proxy.scrape().value(ERRORS, endpoint="chat", error_type="overloaded") > 0


def test_bodies_that_stop_arriving_give_way_to_others(settings: ProxySettings) -> None:
    """Although a byte arrives now and then. Their clients are told why."""
    large = request(json.dumps(CHAT | {"stream": False, "ignored": " " * 1_900_000}).encode())
    with RunningProxy(replace(settings, max_body_bytes=2 * MIB)) as proxy, ExitStack() as held:
        slow = [held.enter_context(Client(proxy)) for _ in range(3)]
        for client in slow:
            client.send(large[:-100])
            assert client.was_read()
        for _ in range(10):
            proxy.put_forward(5)
            for client in slow:
                client.send(b" ")
                assert client.was_read()
        with Client(proxy) as other:
            other.send(large)
            assert other.response()[0].status == 200

        assert proxy.counted(ERRORS, 1, endpoint="chat", error_type="overloaded")
        assert proxy.counted("mistral_active_requests", 2)


def test_a_new_connection_replaces_an_idle_one(settings: ProxySettings) -> None:
    two = replace(settings, max_connections=2)
    with RunningProxy(two) as proxy, Client(proxy) as idle, Client(proxy) as unfinished:
        unfinished.send(b"POST /api/chat HTTP/1.1\r\nX: ")
        assert unfinished.was_read()
        with Client(proxy) as new:
            new.send(request(WHOLE))
            assert new.response()[0].status == 200
            assert idle.ended()


@pytest.mark.parametrize("path", ["/api/chat", "/refused/at/once"])
def test_a_new_connection_replaces_one_with_an_unfinished_body(
    settings: ProxySettings, path: str
) -> None:
    with RunningProxy(replace(settings, max_connections=1)) as proxy, Client(proxy) as unfinished:
        unfinished.send(request(WHOLE, path=path)[:-1])
        assert unfinished.was_read()
        if path != "/api/chat":
            assert unfinished.response()[0].status == 404
        with Client(proxy) as new:
            new.send(request(WHOLE))
            assert new.response()[0].status == 200


def test_a_connection_is_refused_while_all_others_are_being_answered(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    engine.chat(stream(Step.STALL))
    with RunningProxy(replace(settings, max_connections=1)) as proxy, Client(proxy) as busy:
        busy.send(request(STREAMED))
        assert eventually(lambda: bool(engine.calls()))
        with Client(proxy) as refused:
            response, body = refused.response()

    assert response.status == 503
    assert "MAX_CONNECTIONS" in json.loads(body)["error"]


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("body", [WHOLE, STREAMED], ids=["whole", "streamed"])
def test_http_1_0_gets_no_chunked_coding(client: Client, body: bytes, *, kept: bool) -> None:
    """A stream ends with its connection; a whole response need not."""
    headers = ("Connection: keep-alive",) if kept else ()
    client.send(request(body, *headers, version="1.0"))

    response, text = client.response()

    assert response.headers["transfer-encoding"] is None
    assert json.loads(text.splitlines()[-1])["done"]
    if kept and body == WHOLE:
        assert response.headers["connection"] == "keep-alive"
        client.send(request(body, version="1.0"))
        assert client.response()[0].status == 200
    assert client.ended()


def test_head_gets_only_a_head(client: Client) -> None:
    client.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)

    responses = [client.response("HEAD") for _ in range(2)]

    assert [(a.status, a.headers["content-length"], body) for a, body in responses] == [
        (200, "17", b""),
        (200, "17", b""),
    ]


def test_an_offer_of_another_protocol_is_ignored(client: Client) -> None:
    """Java's client offers HTTP/2 with its first request."""
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA")
    client.send(request(WHOLE, *offer))

    response, body = client.response()

    assert (response.status, json.loads(body)["done"]) == (200, True)


@pytest.mark.parametrize(
    ("sent", "endpoint"),
    [
        (b"POST /api/chat HTTP/1.1\r\nHost: loc", "unmatched"),
        (request(WHOLE)[:-1], "chat"),
    ],
    ids=["its head", "its body"],
)
def test_a_request_that_never_ends_is_a_408(
    proxy: RunningProxy, client: Client, sent: bytes, endpoint: str
) -> None:
    client.send(sent)
    assert client.was_read()
    proxy.put_forward(proxy.settings.client_request_timeout_seconds + 1)

    response, body = client.response()

    assert response.status == 408
    assert json.loads(body)["error"] == "no complete request arrived within 60 s"
    assert client.ended()
    assert proxy.counted(REQUESTS, 1, endpoint=endpoint, status="client_error")


def test_an_idle_connection_ends_without_a_response(proxy: RunningProxy, client: Client) -> None:
    client.send(request(WHOLE))

    assert client.response()[0].status == 200
    proxy.idle()
    proxy.put_forward(proxy.settings.client_keep_alive_seconds + 1)
    assert client.ended()
    assert proxy.idle().value(REQUESTS, endpoint="unmatched", status="client_error") == 0


@pytest.fixture
def settings(settings: ProxySettings) -> ProxySettings:
    """The clients time out, but never the engine."""
    return replace(settings, engine_silence_timeout_seconds=1e9)


def cancelled_after(
    seconds: float, engine: ScriptedEngine, proxy: RunningProxy, *, sender: Client | None = None
) -> bool:
    """Move time forward until the request that the engine works on was cancelled.

    Again and again, because nothing shows when the system's buffers for the client are full. In
    the meantime, the `sender` sends a byte at a time.
    """

    def counted() -> bool:
        if sender is not None:
            sender.send(b"x")
            assert sender.was_read()
        proxy.put_forward(seconds)
        return proxy.scrape().value(REQUESTS, endpoint="chat", status="cancelled") == 1

    return eventually(lambda: bool(engine.calls())) and eventually(counted)


def test_a_client_that_stops_reading_is_cancelled(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """For example because its machine has crashed: its generation ends, too."""
    engine.chat(stream(*[delta_event("y" * 100_000)] * 200, Step.STALL))
    with Client(proxy) as client:
        client.send(request(STREAMED))
        assert cancelled_after(proxy.settings.client_stall_timeout_seconds, engine, proxy)
    assert eventually(engine.calls()[0].gone.is_set)
    assert proxy.idle().value("mistral_running_requests") == 0


def test_a_half_closed_client_that_stops_reading_is_cancelled(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Otherwise unsent data would keep such a connection open."""
    engine.chat(stream(*[delta_event("y" * 100_000)] * 200, Step.STALL))
    with Client(proxy) as client:
        client.send(request(STREAMED))
        assert eventually(lambda: bool(engine.calls()))
        client.send_no_more()
        assert cancelled_after(proxy.app.config.GRACEFUL_TCP_CLOSE_TIMEOUT, engine, proxy)
    assert eventually(engine.calls()[0].gone.is_set)
    assert proxy.idle().value("mistral_running_requests") == 0


def test_a_slow_upload_is_accepted(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Its silences are limited and its rate, but not its duration."""
    seconds = proxy.settings.client_request_timeout_seconds - 1
    part = b" " * int(seconds * LOWEST_BYTES_PER_SECOND)
    head, _, body = request(part * 8 + WHOLE).partition(b"\r\n\r\n")
    with Client(proxy) as client:
        client.send(head + b"\r\n\r\n")
        for position in range(8):
            assert client.was_read()
            proxy.put_forward(seconds)
            client.send(body[position * len(part) :][: len(part)])
        client.send(WHOLE)
        assert client.response()[0].status == 200
    assert len(engine.calls()) == 1


def test_an_upload_of_a_byte_now_and_then_is_a_408(proxy: RunningProxy) -> None:
    seconds = proxy.settings.client_request_timeout_seconds / 4
    with Client(proxy) as client:
        client.send(request(b" " * 100 + WHOLE)[:-50])
        for _ in range(4):
            assert client.was_read()
            proxy.put_forward(seconds)
            client.send(b" ")
        assert client.response()[0].status == 408


@pytest.mark.parametrize("pipelined", [b"POST /api/chat HTTP/1.1\r\nX: ", b"malformed\r\n"])
def test_sending_more_does_not_extend_the_stall_timeout(
    engine: ScriptedEngine, proxy: RunningProxy, pipelined: bytes
) -> None:
    """Only reading does, whether the next request is incomplete or malformed."""
    engine.chat(stream(*[delta_event("y" * 100_000)] * 200, Step.STALL))
    with Client(proxy) as client:
        client.send(request(STREAMED) + pipelined)
        half = proxy.settings.client_stall_timeout_seconds / 2
        assert cancelled_after(half, engine, proxy, sender=client)


def test_disconnecting_after_a_large_request_ends_the_generation(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(Step.STALL))
    body = json.dumps(CHAT | {"stream": False, "padding": "x" * 1_000_000}).encode()
    with Client(proxy) as client:
        client.send(request(body))
        assert eventually(lambda: bool(engine.calls()))

    assert eventually(engine.calls()[0].gone.is_set)
    assert proxy.counted(REQUESTS, 1, endpoint="chat", status="cancelled")


def test_a_slow_reader_slows_down_its_own_stream_only(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """What is written to it waits in limited buffers, and all of it arrives in the end."""
    written = threading.Event()
    text = "y" * 100_000
    engine.chat(stream(*[delta_event(text)] * 200, written, delta_event("", finish="stop")))
    with Client(proxy) as slow, Client(proxy) as other:
        slow.send(request(STREAMED))
        assert eventually(lambda: bool(engine.calls()))
        engine.chat(words("hello"))
        other.send(request(STREAMED))
        assert json.loads(other.response()[1].splitlines()[-1])["done"]

        written.set()
        lines = slow.response()[1].splitlines()

    assert [json.loads(line)["message"]["content"] for line in lines[:-1]] == [text] * 200


def test_unread_responses_have_a_limit_together(
    engine: ScriptedEngine, settings: ProxySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A further one is refused, or replaces one whose client has read nothing for a while."""
    size = 16_000_000  # more than the system's buffers take
    engine.chat(completion("y" * size))
    monkeypatch.setattr("proxy_service.app.response_room", lambda c: response_room(c, 2 * size))
    with RunningProxy(settings) as proxy, ExitStack() as held:
        unread, other, third = (held.enter_context(Client(proxy)) for _ in range(3))
        unread.send(request(WHOLE))
        assert proxy.counted(REQUESTS, 1, endpoint="chat", status="success")
        other.send(request(WHOLE))
        assert other.response()[0].status == 503

        proxy.put_forward(100)
        third.send(request(WHOLE))
        assert third.response()[0].status == 200
        third.send(request(WHOLE))
        assert third.response()[0].status == 200


def test_the_next_request_begins_when_the_response_before_it_was_sent(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Otherwise, a client that reads none of its responses could make the proxy hold them all."""
    engine.chat(completion("y" * 16_000_000))  # more than the system's buffers take
    with Client(proxy) as client:
        client.send(request(WHOLE) * 3)
        for number in (1, 2, 3):
            assert proxy.counted(REQUESTS, number, endpoint="chat", status="success")
            assert client.was_read()
            proxy.put_forward(1)
            assert len(engine.calls()) == number
            assert client.response()[0].status == 200


def test_a_client_that_reads_nothing_can_be_replaced(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """At once, although its response waits to be sent and another request to be answered."""
    engine.chat(completion("y" * 16_000_000))
    with RunningProxy(replace(settings, max_connections=1)) as proxy, Client(proxy) as unread:
        unread.send(request(WHOLE) * 2)
        assert eventually(lambda: bool(engine.calls()))
        engine.chat(completion("z"))

        def status() -> int:
            with Client(proxy) as new:
                new.send(request(WHOLE))
                return new.response()[0].status

        assert eventually(lambda: status() == 200)


def test_the_heads_of_all_connections_have_a_limit_together(
    engine: ScriptedEngine, settings: ProxySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of pipelined requests, too. Others are told so, and ordinary requests are answered."""
    monkeypatch.setattr("proxy_service.app.HeadBudget", lambda: HeadBudget(320_000))
    engine.chat(stream(Step.STALL))
    large, larger = (
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * size + b"\r\n\r\n"
        for size in (20_000, 30_000)
    )
    with RunningProxy(settings) as proxy, ExitStack() as held:
        busy = [held.enter_context(Client(proxy)) for _ in range(2)]
        for client in busy:
            client.send(request(STREAMED))
        assert eventually(lambda: len(engine.calls()) == 2)
        for client in busy:
            client.send(large * 4)
            assert client.was_read()

        with Client(proxy) as other:
            other.send(larger)
            response, body = other.response("GET")
            assert response.status == 503
            assert "heads of all requests together" in json.loads(body)["error"]
        assert proxy.http.get("/livez").status_code == 200
        held.close()
        assert eventually(lambda: proxy.http.get("/livez", headers={"X": "x" * 30_000}).is_success)


@pytest.fixture
def without_collector() -> Iterator[None]:
    gc.disable()
    gc.freeze()  # older objects aren't looked at
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("without_collector")
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/chat", STREAMED, 200),
        ("/api/chat", WHOLE, 200),
        ("/v1/chat/completions", STREAMED, 200),
        ("/api/chat", b"{", 400),
        ("/api/chat", WHOLE.replace(b"Tiny", b"Other"), 404),
        ("/api/chat", b"x" * 3 * MIB, 413),
        ("/nowhere", b"", 404),
    ],
)
def test_nothing_of_a_request_waits_for_the_garbage_collector(
    settings: ProxySettings, path: str, body: bytes, status: int
) -> None:
    """With large requests, much memory would wait until it runs."""
    with RunningProxy(replace(settings, max_body_bytes=2 * MIB)) as proxy:
        for _ in range(3):
            with Client(proxy) as client:
                client.send(request(body, path=path))
                assert client.response()[0].status == status
        with Client(proxy) as leaving:
            leaving.send(request(b"x" * 1000)[:-1])
            assert leaving.was_read()

        def left() -> list[object]:
            kinds = (ClientConnection, RequestReader, IncomingRequest, ProxyError)
            return [thing for thing in gc.get_objects() if isinstance(thing, kinds)]

        assert eventually(lambda: not left()), left()
