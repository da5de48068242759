"""The long run: its bookkeeping, how it reads answers, and a short one on the real parts."""

import json
import socket
import socketserver
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ops.system.polling import Poller
from tests.processes import DEADLINE_SECONDS
from tests.soak.__main__ import Pace, main
from tests.soak.books import (
    Ending,
    Entry,
    Finished,
    Sums,
    by_status,
    differences,
    read_log,
    settle,
)
from tests.soak.clients import Book, Request, asking, ending_of
from tests.tiny_llama import make_tiny_llama

CHAT = Request("/api/chat", "chat", b"", streams=True)
WHOLE = Request("/api/chat", "chat", b"")
V1 = Request("/v1/chat/completions", "v1_chat_completions", b"", streams=True)
WHOLE_V1 = Request("/v1/chat/completions", "v1_chat_completions", b"")


def entry(request_id: str, ending: Ending) -> Entry:
    return Entry(request_id, "chat", ending)


def finished(request_id: str, status: str) -> Finished:
    return Finished(request_id, "chat", status)


def test_books_and_log_that_agree_leave_nothing_open() -> None:
    book = [entry("a", Ending.ANSWERED), entry("b", Ending.REFUSED), entry("c", Ending.LEFT)]
    log = [finished("c", "cancelled"), finished("a", "success"), finished("b", "client_error")]

    account = settle(book, log)

    assert by_status(account.sums) == {
        "success": 1,
        "client_error": 1,
        "error": 0,
        "cancelled": 1,
    }
    assert (account.missing, account.repeated, account.strangers) == ([], [], [])
    assert (account.contradicted, account.overtaken) == ([], 0)


def test_the_log_says_how_it_ended_for_a_client_that_left() -> None:
    """It can't know whether its answer was complete when it went."""
    account = settle([entry("a", Ending.LEFT)], [finished("a", "success")])

    assert account.sums == {("chat", "success"): 1}
    assert (account.contradicted, account.overtaken) == ([], 1)


def test_a_request_that_the_proxy_lost_is_found() -> None:
    lost = entry("a", Ending.ANSWERED)
    assert settle([lost], []).missing == [lost]


def test_a_request_that_was_counted_twice_is_found() -> None:
    log = [finished("a", "success"), finished("a", "success")]
    assert settle([entry("a", Ending.ANSWERED)], log).repeated == ["a"]


def test_a_request_that_nobody_sent_is_found() -> None:
    stranger = finished("x", "success")
    assert settle([], [stranger]).strangers == [stranger]


@pytest.mark.parametrize("ending", [Ending.ANSWERED, Ending.FAILED, Ending.BROKEN])
def test_two_stories_about_one_request_are_found(ending: Ending) -> None:
    told, known = entry("a", ending), finished("a", "cancelled")
    assert settle([told], [known]).contradicted == [(told, known)]


def test_each_difference_between_two_sums_is_named() -> None:
    expected: Sums = Counter({("chat", "success"): 2, ("chat", "error"): 1})
    counted: Sums = Counter({("chat", "success"): 3, ("chat", "error"): 1})

    assert differences(expected, counted) == ["chat success: 2 sent, 3 counted"]
    assert differences(expected, expected) == []


def test_only_finished_requests_are_read_from_the_log() -> None:
    line = {
        "level": "info",
        "event": "request_finished",
        "request_id": "a",
        "endpoint": "chat",
        "status": "success",
    }
    other = {"level": "warning", "event": "engine_lost"}
    lines = [json.dumps(value, separators=(",", ":")) for value in (other, line)]

    assert read_log(lines) == [finished("a", "success")]


@pytest.mark.parametrize(
    ("request_", "status", "body", "ending"),
    [
        (CHAT, 200, b'{"done":false}\n{"done":true}\n', Ending.ANSWERED),
        (CHAT, 200, b'{"done":false}\n{"error":"boom"}\n', Ending.FAILED),
        (CHAT, 200, b'{"done":false}\n', Ending.BROKEN),
        (CHAT, 503, b'{"error":"busy"}', Ending.FAILED),
        (CHAT, 404, b'{"error":"no such model"}', Ending.REFUSED),
        (WHOLE, 200, b'{"done":true}', Ending.ANSWERED),
        (WHOLE, 200, b'{"done":false}', Ending.BROKEN),
        (V1, 200, b"data: {}\n\ndata: [DONE]\n\n", Ending.ANSWERED),
        (V1, 200, b'data: {}\n\ndata: {"error":{"message":"boom"}}\n\n', Ending.FAILED),
        (V1, 503, b'{"error":{"message":"busy"}}', Ending.FAILED),
        (WHOLE_V1, 200, b'{"choices":[{"finish_reason":"stop"}]}', Ending.ANSWERED),
    ],
)
def test_an_answer_is_read_as_its_api_promises(
    request_: Request, status: int, body: bytes, ending: Ending
) -> None:
    assert ending_of(request_, status, body)[0] is ending


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
def test_an_answer_without_a_proper_end_is_no_answer(
    request_: Request, status: int, body: bytes
) -> None:
    with pytest.raises((ValueError, LookupError)):
        ending_of(request_, status, body)


class Reset(socketserver.BaseRequestHandler):
    """Resets its connection at once."""

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


def test_a_client_that_is_cut_off_goes_on_and_has_every_request_in_its_book() -> None:
    """Those too that it was about to leave."""
    book, enough = Book(), 30
    with resetting() as proxy, asking(proxy, "llama", 1, book, seed=1):
        asked = Poller().until(
            lambda: len(book.entries), lambda count: count >= enough, timeout=DEADLINE_SECONDS
        )

    assert asked >= enough
    assert {one.ending for one in book.entries} == {Ending.BROKEN, Ending.LEFT}
    assert [one.request_id for one in book.entries] == [
        f"soak-1-{number}" for number in range(len(book.entries))
    ]


def test_a_short_run_accounts_for_every_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Engine, proxy and Prometheus are real; the traffic is shorter than a scrape's interval."""
    model = make_tiny_llama(tmp_path / "tiny-llama")

    arguments = ["--minutes", "0.12", "--clients", "6", "--model", str(model), "--json"]
    code = main(arguments, Pace(warm_up_seconds=2, settling_seconds=2.5))

    findings = json.loads(capsys.readouterr().out)
    assert [check for check in findings["checks"] if check["outcome"] == "FAIL"] == []
    assert code == 0
