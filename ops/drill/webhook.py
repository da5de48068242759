"""A receiver of Grafana's webhook notifications, for the time of the drill."""

import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ops.drill.timeline import State, worst


class AtWebhook:
    """The alerts as notifications tell them."""

    place = "at the webhook"
    shows_pending = False

    def __init__(self) -> None:
        self._told: dict[str, dict[str, State]] = {}
        self._lock = threading.Lock()

    def take(self, notification: Mapping[str, Any]) -> None:
        """Note what a notification says of each alert's series."""
        with self._lock:
            for alert in notification["alerts"]:
                labels = alert["labels"]
                state = State.FIRING if alert["status"] == "firing" else State.INACTIVE
                series = self._told.setdefault(labels["alertname"], {})
                series[json.dumps(labels, sort_keys=True)] = state

    def states(self) -> Mapping[str, State]:
        """Give what each alert was last told to be."""
        with self._lock:
            return {name: worst(list(series.values())) for name, series in self._told.items()}


class Receiver(ThreadingHTTPServer):
    """Takes notifications on a path that nobody can guess."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        self.told = AtWebhook()
        self.path = f"/{secrets.token_hex(16)}"
        super().__init__((address, 0), _Handler)


@contextmanager
def receiving(address: str) -> Iterator[Receiver]:
    """Listen on an address of this machine until the block ends."""
    server = Receiver(address)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status = self._take(body)
        except (ValueError, LookupError, TypeError):
            status = HTTPStatus.BAD_REQUEST
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _take(self, body: bytes) -> HTTPStatus:
        if self.path != self.server.path:
            return HTTPStatus.NOT_FOUND
        self.server.told.take(json.loads(body))
        return HTTPStatus.OK

    def log_message(self, *_: object) -> None:
        """Keep the operator's terminal free."""
