"""The stand-in for the engine: replies as Mistral.rs does, as slowly or wrongly as the drill needs.

It implements the part of the engine's API that a streamed chat through the proxy uses.
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

from ops.processes.ports import LOOPBACK, free_port

MODEL: Final = "drill-model"
SLOW_MODEL: Final = "drill-slow-model"

_CREATED: Final = 1_700_000_000
_USAGE: Final = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}


@dataclass(frozen=True)
class Behaviour:
    """How the engine replies; by default at once and without errors.

    Attributes:
        first_token_seconds: Delay of the first token.
        slow_model_first_token_seconds: Further delay of the first token of ``SLOW_MODEL``.
        slow_model_seconds: Delay between the first and the last token of ``SLOW_MODEL``.
        fails_every: Fail every n-th request: 1 fails all, 2 every other; 0 fails none.
    """

    first_token_seconds: float = 0.0
    slow_model_first_token_seconds: float = 0.0
    slow_model_seconds: float = 0.0
    fails_every: int = 0


HEALTHY: Final = Behaviour()


class StandInEngine:
    """An engine on a port of the loopback address. It keeps the port when it restarts."""

    def __init__(self) -> None:
        self._behaviour = HEALTHY
        self._changed = threading.Event()
        self._requests = 0
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.port = free_port(LOOPBACK)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    def behave(self, behaviour: Behaviour) -> None:
        """Change the behaviour. Delayed replies are finished at once."""
        with self._lock:
            self._behaviour = behaviour
            self._requests = 0
            self._changed.set()
            self._changed = threading.Event()

    def start(self) -> None:
        """Start listening."""
        self._server = _Server((LOOPBACK, self.port), self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening and break all open connections, as a crash does."""
        if self._server is not None:
            server, self._server = self._server, None
            server.shutdown()
            server.server_close()
            self.behave(self._behaviour)
            server.break_connections()

    def next_reply(self) -> tuple[Behaviour, bool, threading.Event]:
        """Return the behaviour, whether to fail, and an event that ends the delays early."""
        with self._lock:
            self._requests += 1
            every = self._behaviour.fails_every
            return self._behaviour, every > 0 and self._requests % every == 0, self._changed


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], engine: StandInEngine) -> None:
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
        """Log nothing: broken connections are part of the drill."""

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
        self._send_json(HTTPStatus.OK, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        behaviour, fails, changed = self.server.engine.next_reply()
        if fails:
            error = {"message": "scripted failure of the drill"}
            self._send_json(HTTPStatus.INTERNAL_SERVER_ERROR, error)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self._stream(body["model"], behaviour, changed)

    def _stream(self, model: str, behaviour: Behaviour, changed: threading.Event) -> None:
        is_slow = model == SLOW_MODEL
        late = behaviour.slow_model_first_token_seconds if is_slow else 0
        changed.wait(behaviour.first_token_seconds + late)
        self._send_event(_completion("fire"))
        if is_slow:
            changed.wait(behaviour.slow_model_seconds)
        self._send_event(_completion(" drill"))
        self._send_event(_completion("", finish="stop"))
        self.wfile.write(b"data: [DONE]\n\n")

    def _send_event(self, completion: Mapping[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(completion)}\n\n".encode())

    def _send_json(self, status: HTTPStatus, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: the terminal belongs to the drill's report."""


def _completion(content: str, *, finish: str | None = None) -> dict[str, Any]:
    """Return the JSON of one event."""
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
