"""A scripted engine: answers as Mistral.rs does, as slowly or wrongly as the drill wants.

It speaks the part of the engine's API that a streamed chat through the proxy needs.
"""

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from ops.system.ports import LOOPBACK, free_port

MODEL: Final = "drill-model"
SLOW_MODEL: Final = "drill-slow-model"

_CREATED: Final = 1_700_000_000
_USAGE: Final = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}


@dataclass(frozen=True)
class Behaviour:
    """How the engine answers; the default is quick and right.

    Attributes:
        first_token_seconds: Wait before an answer's first token.
        slow_model_seconds: Wait between the first and the last token of ``SLOW_MODEL``.
        fails_every: Each so-manieth answer is a failure; 0 for none.
    """

    first_token_seconds: float = 0.0
    slow_model_seconds: float = 0.0
    fails_every: int = 0


HEALTHY: Final = Behaviour()


class DrillEngine:
    """The engine, on one port of loopback for as long as it exists, dead or alive."""

    def __init__(self) -> None:
        self._behaviour = HEALTHY
        self._changed = threading.Event()
        self._answered = 0
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.port = free_port(LOOPBACK)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    def behave(self, behaviour: Behaviour) -> None:
        """Answer so from now on; answers that wait are finished at once."""
        with self._lock:
            self._behaviour = behaviour
            self._answered = 0
            self._changed.set()
            self._changed = threading.Event()

    def start(self) -> None:
        """Listen, each time on the same port."""
        self._server = _Server((LOOPBACK, self.port), self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Die: open connections break, new ones are refused."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            self.behave(self._behaviour)
            server.break_connections()

    def next_answer(self) -> tuple[Behaviour, bool, threading.Event]:
        """Give how to answer now, whether to fail, and what ends the waiting early."""
        with self._lock:
            self._answered += 1
            every = self._behaviour.fails_every
            return self._behaviour, every > 0 and self._answered % every == 0, self._changed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], engine: DrillEngine) -> None:
        self.engine = engine
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (the base's)
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 (the base's)
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 (the base's)
        """Say nothing: clients that hang up are part of the drill."""

    def break_connections(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        models = [
            {"id": name, "object": "model", "created": _CREATED, "status": "loaded"}
            for name in (MODEL, SLOW_MODEL)
        ]
        self._whole(HTTPStatus.OK, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        behaviour, fails, changed = self.server.engine.next_answer()
        if fails:
            self._whole(HTTPStatus.INTERNAL_SERVER_ERROR, {"message": "the drill wants it so"})
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self._stream(body["model"], behaviour, changed)

    def _stream(self, model: str, behaviour: Behaviour, changed: threading.Event) -> None:
        changed.wait(behaviour.first_token_seconds)
        self._event(_chunk("fire"))
        if model == SLOW_MODEL:
            changed.wait(behaviour.slow_model_seconds)
        self._event(_chunk(" drill"))
        self._event(_chunk("", finish="stop"))
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, chunk: Mapping[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

    def _whole(self, status: HTTPStatus, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the operator's terminal free."""


def _chunk(content: str, *, finish: str | None = None) -> dict[str, Any]:
    choice = {
        "index": 0,
        "delta": {"role": "assistant", "content": content},
        "finish_reason": finish,
    }
    return {
        "id": "drill",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [choice],
        "usage": _USAGE if finish else None,
    }
