"""The clients of the long run, good and bad; each keeps a book of what became of its requests."""

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

from tests.soak.books import Ending, Entry

LONGEST_SILENCE_SECONDS: Final = 60.0
"""Far above every limit of the run: whoever waits longer was forgotten."""

_LONG_TOKENS: Final = 300
_SHORT_TOKENS: Final = (1, 32)
_PIECE_BYTES: Final = 512
_SLOW_PIECES: Final = 40
_SLOW_PAUSE_SECONDS: Final = 0.05
_LEAVE_SECONDS: Final = (0.0, 0.5)
# What a sensible client rests after an engine's failure or a full queue.
_REST_SECONDS: Final = (0.2, 2.0)
_QUESTION: Final = "Is there fire?"

Ended = tuple[Ending, str]


@dataclass(frozen=True)
class Request:
    """One request, ready to be sent; ``endpoint`` is the label that the metrics give it."""

    path: str
    endpoint: str
    body: bytes
    streams: bool = False


@dataclass
class Book:
    """All entries of all clients; safe to write from any thread."""

    entries: list[Entry] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, entry: Entry) -> None:
        """Write down how a request ended."""
        with self._lock:
            self.entries.append(entry)


class Client:
    """One client: asks again and again, each time in another way, in an order of its own."""

    def __init__(self, proxy: str, model: str, seed: int, book: Book) -> None:
        self._netloc = urlsplit(proxy).netloc
        self._model = model
        self._random = random.Random(seed)  # noqa: S311 (a reproducible order, no secret)
        self._book = book
        self._ids = (f"soak-{seed}-{number}" for number in count())
        self._connection: HTTPConnection | None = None

    def ask_until(self, stop: threading.Event) -> None:
        """Ask until told to stop, and hang up."""
        ways = [way for way, weight in self._ways() for _ in range(weight)]
        while not stop.is_set():
            ending = self._random.choice(ways)()
            if ending is Ending.FAILED:
                stop.wait(self._random.uniform(*_REST_SECONDS))
        self._hang_up()

    def _ways(self) -> Sequence[tuple[Callable[[], Ending], int]]:
        return (
            (self._ask_well, 12),
            (self._ask_badly, 2),
            (self._leave_early, 2),
            (self._leave_while_reading, 2),
            (self._leave_while_sending, 1),
            (self._read_slowly, 1),
        )

    def _ask_well(self) -> Ending:
        """Ask like any client, on a kept connection, and read all."""
        request = self._random.choice(list(self._requests(self._random.randint(*_SHORT_TOKENS))))
        request_id = next(self._ids)
        return self._enter(request_id, request, self._exchange(request, request_id))

    def _ask_badly(self) -> Ending:
        """Send what no model can answer."""
        unknown = self._json({"model": "no-such-model", "prompt": _QUESTION})
        request = self._random.choice(
            [
                Request("/api/chat", "chat", b"{"),
                Request("/api/generate", "generate", unknown),
                Request("/v1/chat/completions", "v1_chat_completions", unknown),
            ]
        )
        request_id = next(self._ids)
        return self._enter(request_id, request, self._exchange(request, request_id))

    def _leave_early(self) -> Ending:
        """Ask for something long and vanish before the first byte, or soon after it."""
        request = self._random.choice(list(self._requests(_LONG_TOKENS)))
        pause = self._random.uniform(*_LEAVE_SECONDS)
        return self._vanish(request, lambda _connection: threading.Event().wait(pause))

    def _leave_while_reading(self) -> Ending:
        """Read a bit of something long and vanish."""
        request = self._random.choice([r for r in self._requests(_LONG_TOKENS) if r.streams])
        return self._vanish(request, lambda connection: connection.recv(_PIECE_BYTES))

    def _leave_while_sending(self) -> Ending:
        """Vanish in the middle of a body."""
        request = self._random.choice(list(self._requests(1)))
        return self._vanish(request, lambda _connection: None, unsent=5)

    def _read_slowly(self) -> Ending:
        """Read something long in small pieces at first, in the way of a busy terminal."""
        request = self._random.choice([r for r in self._requests(_LONG_TOKENS) if r.streams])
        request_id = next(self._ids)
        self._hang_up()
        ended = self._exchange(request, request_id, read=_slowly)
        return self._enter(request_id, request, ended)

    def _requests(self, tokens: int) -> Iterator[Request]:
        """Give one request of each kind, asking for so many tokens."""
        messages = [{"role": "user", "content": _QUESTION}]
        options = {"num_predict": tokens}
        for stream in (True, False):
            common = {"model": self._model, "stream": stream}
            chat = common | {"messages": messages, "options": options}
            yield Request("/api/chat", "chat", self._json(chat), stream)
            generate = common | {"prompt": _QUESTION, "options": options}
            yield Request("/api/generate", "generate", self._json(generate), stream)
            v1 = common | {"messages": messages, "max_tokens": tokens}
            yield Request("/v1/chat/completions", "v1_chat_completions", self._json(v1), stream)

    def _exchange(
        self,
        request: Request,
        request_id: str,
        read: Callable[[HTTPResponse], bytes] = HTTPResponse.read,
    ) -> Ended:
        if self._connection is None:
            self._connection = HTTPConnection(self._netloc, timeout=LONGEST_SILENCE_SECONDS)
        try:
            headers = {"X-Request-ID": request_id}
            self._connection.request("POST", request.path, request.body, headers)
            response = self._connection.getresponse()
            return ending_of(request, response.status, read(response))
        except (OSError, HTTPException, ValueError, LookupError) as error:
            self._hang_up()
            return Ending.BROKEN, repr(error)

    def _vanish(
        self, request: Request, last: Callable[[socket.socket], object], *, unsent: int = 0
    ) -> Ending:
        """Ask on a connection of its own, do a last thing, and end it without a word.

        A proxy that ends it first is no fault here: its log says how the request ended. A proxy
        that does nothing is one.
        """
        request_id = next(self._ids)
        written = self._written(request, request_id)
        host, _, port = self._netloc.partition(":")
        address = (host, int(port))
        ended: Ended = Ending.LEFT, ""
        try:
            with closing(socket.create_connection(address, LONGEST_SILENCE_SECONDS)) as own:
                own.sendall(written[: len(written) - unsent])
                last(own)
        except TimeoutError as error:
            ended = Ending.BROKEN, repr(error)
        except OSError:
            pass
        return self._enter(request_id, request, ended)

    def _written(self, request: Request, request_id: str) -> bytes:
        head = (
            f"POST {request.path} HTTP/1.1\r\nHost: {self._netloc}\r\n"
            f"X-Request-ID: {request_id}\r\nContent-Length: {len(request.body)}\r\n\r\n"
        )
        return head.encode() + request.body

    def _enter(self, request_id: str, request: Request, ended: Ended) -> Ending:
        self._book.enter(Entry(request_id, request.endpoint, *ended))
        return ended[0]

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @staticmethod
    def _json(value: dict[str, Any]) -> bytes:
        return json.dumps(value).encode()


def ending_of(request: Request, status: int, body: bytes) -> Ended:
    """Tell how a whole answer ends its request.

    Raises ValueError or LookupError when the answer is not what its API promises.
    """
    v1 = request.path.startswith("/v1")
    if status != 200:
        error = json.loads(body)["error"]
        text = error["message"] if v1 else error
        return (Ending.FAILED if status >= 500 else Ending.REFUSED), text
    if not request.streams:
        answer = json.loads(body)
        if v1:
            return Ending.ANSWERED, answer["choices"][0]["finish_reason"]
        return (Ending.ANSWERED if answer["done"] is True else Ending.BROKEN), ""
    return _events_ending(body) if v1 else _lines_ending(body)


def _lines_ending(body: bytes) -> Ended:
    last = [json.loads(line) for line in body.splitlines()][-1]
    if "error" in last:
        return Ending.FAILED, last["error"]
    return (Ending.ANSWERED if last["done"] is True else Ending.BROKEN), ""


def _events_ending(body: bytes) -> Ended:
    last = [part for part in body.split(b"\n\n") if part][-1].removeprefix(b"data: ")
    if last == b"[DONE]":
        return Ending.ANSWERED, ""
    return Ending.FAILED, json.loads(last)["error"]["message"]


def _slowly(response: HTTPResponse) -> bytes:
    parts = []
    for _ in range(_SLOW_PIECES):
        parts.append(response.read(_PIECE_BYTES))
        threading.Event().wait(_SLOW_PAUSE_SECONDS)
    return b"".join([*parts, response.read()])


@contextmanager
def asking(proxy: str, model: str, clients: int, book: Book, *, seed: int) -> Iterator[None]:
    """Let so many clients ask while the block runs; leaving waits for their last answers."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=Client(proxy, model, seed + i, book).ask_until, args=(stop,))
        for i in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
