"""The clients of the soak test, well-behaved and not. Each records how its requests ended."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import count
from typing import Any, Final
from urllib.parse import urlsplit

from tests.soak.reconciliation import Result, Status

# Far above what the last request of the queue can wait for: the proxy's timeout, once or twice, for
# each of the seven before it. A request that takes longer was forgotten.
TIMEOUT_SECONDS: Final = 300.0

_LONG_TOKENS: Final = 300
_SHORT_TOKENS: Final = (1, 16)
_READ_BYTES: Final = 512
_SLOW_READS: Final = 40
_SLOW_READ_PAUSE_SECONDS: Final = 0.05
_DISCONNECT_AFTER_SECONDS: Final = (0.0, 0.5)
# Pause of a sensible client after a failure of the engine or a full queue.
_BACKOFF_SECONDS: Final = (0.2, 2.0)
_QUESTION: Final = "Is there fire?"

# How a request ended, and a note for the report.
Outcome = tuple[Status, str]


@dataclass(frozen=True)
class Request:
    """One request, ready to send. ``endpoint`` is the metrics' label for its path."""

    path: str
    endpoint: str
    body: bytes
    streams: bool = False


@dataclass
class Results:
    """The results of all clients. Safe to add to from any thread."""

    entries: list[Result] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, result: Result) -> None:
        """Record how a request ended."""
        with self._lock:
            self.entries.append(result)


class Client:
    """A client that sends one request after the other, in ways that its seed determines."""

    def __init__(self, proxy: str, model: str, seed: int, results: Results) -> None:
        self._netloc = urlsplit(proxy).netloc
        self._model = model
        self._random = random.Random(seed)  # noqa: S311 (a reproducible order, no secret)
        self._results = results
        self._ids = (f"soak-{seed}-{number}" for number in count())
        self._connection: HTTPConnection | None = None

    def run(self, stop: threading.Event) -> None:
        """Send requests until ``stop`` is set, then close the connection."""
        actions = [action for action, weight in self._actions() for _ in range(weight)]
        while not stop.is_set():
            status = self._random.choice(actions)()
            if status is Status.ERROR:
                stop.wait(self._random.uniform(*_BACKOFF_SECONDS))
        self._close()

    def _actions(self) -> Sequence[tuple[Callable[[], Status], int]]:
        return (
            (self._send_valid, 12),
            (self._send_invalid, 2),
            (self._disconnect_early, 2),
            (self._disconnect_while_reading, 2),
            (self._disconnect_while_sending, 1),
            (self._read_slowly, 1),
        )

    def _send_valid(self) -> Status:
        """Send a valid request on the kept connection and read the whole response."""
        request = self._random.choice(list(self._requests(self._random.randint(*_SHORT_TOKENS))))
        return self._record(request, self._exchange)

    def _send_invalid(self) -> Status:
        """Send broken JSON or ask for an unknown model."""
        unknown = self._json({"model": "no-such-model", "prompt": _QUESTION})
        request = self._random.choice(
            [
                Request("/api/chat", "chat", b"{"),
                Request("/api/generate", "generate", unknown),
                Request("/v1/chat/completions", "v1_chat_completions", unknown),
            ]
        )
        return self._record(request, self._exchange)

    def _disconnect_early(self) -> Status:
        """Ask for a long response and disconnect before its first byte or soon after."""
        request = self._random.choice(list(self._requests(_LONG_TOKENS)))
        pause = self._random.uniform(*_DISCONNECT_AFTER_SECONDS)
        return self._record(
            request,
            partial(self._disconnect, last=lambda _connection: threading.Event().wait(pause)),
        )

    def _disconnect_while_reading(self) -> Status:
        """Read the beginning of a long response and disconnect."""
        request = self._random.choice([r for r in self._requests(_LONG_TOKENS) if r.streams])
        return self._record(
            request, partial(self._disconnect, last=lambda connection: connection.recv(_READ_BYTES))
        )

    def _disconnect_while_sending(self) -> Status:
        """Disconnect in the middle of a request's body."""
        request = self._random.choice(list(self._requests(1)))
        return self._record(
            request, partial(self._disconnect, last=lambda _connection: None, unsent=5)
        )

    def _read_slowly(self) -> Status:
        """Read the beginning of a long response slowly, as a busy terminal does."""
        request = self._random.choice([r for r in self._requests(_LONG_TOKENS) if r.streams])
        self._close()
        return self._record(request, partial(self._exchange, read=_slowly))

    def _requests(self, tokens: int) -> Iterator[Request]:
        """Yield one request of each kind, asking for at most ``tokens`` tokens."""
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
    ) -> Outcome:
        if self._connection is None:
            self._connection = HTTPConnection(self._netloc, timeout=TIMEOUT_SECONDS)
        try:
            headers = {"X-Request-ID": request_id}
            self._connection.request("POST", request.path, request.body, headers)
            response = self._connection.getresponse()
            return classify(request, response.status, read(response))
        except (OSError, HTTPException, ValueError, LookupError) as error:
            self._close()
            return Status.BROKEN, repr(error)

    def _disconnect(
        self,
        request: Request,
        request_id: str,
        last: Callable[[socket.socket], object],
        unsent: int = 0,
    ) -> Outcome:
        """Send a request on a new connection, call ``last`` with it, and close it.

        It is fine if the proxy closes the connection first: its log says how the request ended.
        It is a fault if the proxy does nothing until the client times out.

        Args:
            request: What to send.
            request_id: Sent as ``X-Request-ID``.
            last: What to do with the connection before closing it.
            unsent: Number of bytes at the end of the body that are not sent.
        """
        data = self._encoded(request, request_id)
        host, _, port = self._netloc.partition(":")
        address = (host, int(port))
        outcome: Outcome = Status.CANCELLED, ""
        try:
            with closing(socket.create_connection(address, TIMEOUT_SECONDS)) as connection:
                connection.sendall(data[: len(data) - unsent])
                last(connection)
        except TimeoutError as error:
            outcome = Status.BROKEN, repr(error)
        except OSError:
            pass
        return outcome

    def _encoded(self, request: Request, request_id: str) -> bytes:
        head = (
            f"POST {request.path} HTTP/1.1\r\nHost: {self._netloc}\r\n"
            f"X-Request-ID: {request_id}\r\nContent-Length: {len(request.body)}\r\n\r\n"
        )
        return head.encode() + request.body

    def _record(self, request: Request, send: Callable[[Request, str], Outcome]) -> Status:
        """Send a request under a new id, and record how and when it ended."""
        request_id, began = next(self._ids), time.monotonic()
        status, note = send(request, request_id)
        self._results.add(
            Result(request_id, request.endpoint, status, note, began, time.monotonic())
        )
        return status

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @staticmethod
    def _json(value: dict[str, Any]) -> bytes:
        return json.dumps(value).encode()


def classify(request: Request, status: int, body: bytes) -> Outcome:
    """Return how a request ended, from its complete response.

    Raises:
        ValueError, LookupError: The response isn't what its API promises.
    """
    v1 = request.path.startswith("/v1")
    if status != 200:
        error = json.loads(body)["error"]
        text = error["message"] if v1 else error
        return (Status.ERROR if status >= 500 else Status.CLIENT_ERROR), text
    if not request.streams:
        response = json.loads(body)
        if v1:
            return Status.SUCCESS, response["choices"][0]["finish_reason"]
        return (Status.SUCCESS if response["done"] is True else Status.BROKEN), ""
    return _classify_events(body) if v1 else _classify_lines(body)


def _classify_lines(body: bytes) -> Outcome:
    last = [json.loads(line) for line in body.splitlines()][-1]
    if "error" in last:
        return Status.ERROR, last["error"]
    return (Status.SUCCESS if last["done"] is True else Status.BROKEN), ""


def _classify_events(body: bytes) -> Outcome:
    last = [event for event in body.split(b"\n\n") if event][-1].removeprefix(b"data: ")
    if last == b"[DONE]":
        return Status.SUCCESS, ""
    return Status.ERROR, json.loads(last)["error"]["message"]


def _slowly(response: HTTPResponse) -> bytes:
    parts = []
    for _ in range(_SLOW_READS):
        parts.append(response.read(_READ_BYTES))
        threading.Event().wait(_SLOW_READ_PAUSE_SECONDS)
    return b"".join([*parts, response.read()])


@contextmanager
def running_clients(
    proxy: str, model: str, number: int, results: Results, *, seed: int
) -> Iterator[None]:
    """Run clients while the block runs. Its end waits for their last responses."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=Client(proxy, model, seed + i, results).run, args=(stop,))
        for i in range(number)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
