"""How the soak test's clients read responses, and what they record."""

import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ops.processes.polling import Poller
from tests.processes import TIMEOUT_SECONDS
from tests.soak.clients import Request, Results, classify, running_clients
from tests.soak.reconciliation import Status

CHAT = Request("/api/chat", "chat", b"", streams=True)
WHOLE = Request("/api/chat", "chat", b"")
V1 = Request("/v1/chat/completions", "v1_chat_completions", b"", streams=True)
WHOLE_V1 = Request("/v1/chat/completions", "v1_chat_completions", b"")


@pytest.mark.parametrize(
    ("request_", "status", "body", "expected"),
    [
        (CHAT, 200, b'{"done":false}\n{"done":true}\n', Status.SUCCESS),
        (CHAT, 200, b'{"done":false}\n{"error":"boom"}\n', Status.ERROR),
        (CHAT, 200, b'{"done":false}\n', Status.BROKEN),
        (CHAT, 503, b'{"error":"busy"}', Status.ERROR),
        (CHAT, 404, b'{"error":"no such model"}', Status.CLIENT_ERROR),
        (WHOLE, 200, b'{"done":true}', Status.SUCCESS),
        (WHOLE, 200, b'{"done":false}', Status.BROKEN),
        (V1, 200, b"data: {}\n\ndata: [DONE]\n\n", Status.SUCCESS),
        (V1, 200, b'data: {}\n\ndata: {"error":{"message":"boom"}}\n\n', Status.ERROR),
        (V1, 503, b'{"error":{"message":"busy"}}', Status.ERROR),
        (WHOLE_V1, 200, b'{"choices":[{"finish_reason":"stop"}]}', Status.SUCCESS),
    ],
)
def test_a_response_is_classified_as_its_api_promises(
    request_: Request, status: int, body: bytes, expected: Status
) -> None:
    assert classify(request_, status, body)[0] is expected


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (CHAT, 200, b""),
        (CHAT, 200, b'{"done":false}\n{"do'),
        (CHAT, 500, b"Internal Server Error"),
        (V1, 200, b"data: {}\n\n"),
        (V1, 200, b""),
        (WHOLE, 200, b"{"),
    ],
)
def test_a_response_without_a_proper_end_is_not_accepted(
    request_: Request, status: int, body: bytes
) -> None:
    with pytest.raises((ValueError, LookupError)):
        classify(request_, status, body)


class Reset(socketserver.BaseRequestHandler):
    """Resets every connection at once."""

    def handle(self) -> None:
        linger = struct.pack("ii", 1, 0)
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.request.close()


@contextmanager
def resetting() -> Iterator[str]:
    with socketserver.TCPServer(("127.0.0.1", 0), Reset) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_a_client_whose_connections_are_reset_continues_and_records_every_request() -> None:
    """Including those that it was about to cancel."""
    results, enough = Results(), 30
    with resetting() as proxy, running_clients(proxy, "llama", 1, results, seed=1):
        sent = Poller().until(
            lambda: len(results.entries), lambda count: count >= enough, timeout=TIMEOUT_SECONDS
        )

    assert sent >= enough
    assert {one.status for one in results.entries} == {Status.BROKEN, Status.CANCELLED}
    assert [one.request_id for one in results.entries] == [
        f"soak-1-{number}" for number in range(len(results.entries))
    ]
