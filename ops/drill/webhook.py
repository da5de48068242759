"""A receiver of Grafana's webhook notifications, which runs during the drill."""

import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ops.drill.timeline import State, worst


class NotifiedAlerts:
    """The alerts as the notifications report them."""

    where = "at the webhook"
    shows_pending = False

    def __init__(self) -> None:
        self._series: dict[str, dict[str, State]] = {}
        self._lock = threading.Lock()

    def update(self, notification: Mapping[str, Any]) -> None:
        """Record the state that a notification reports for each series of each alert."""
        with self._lock:
            for alert in notification["alerts"]:
                labels = alert["labels"]
                state = State.FIRING if alert["status"] == "firing" else State.INACTIVE
                series = self._series.setdefault(labels["alertname"], {})
                series[json.dumps(labels, sort_keys=True)] = state

    def states(self) -> Mapping[str, State]:
        """Return the last reported state of each alert."""
        with self._lock:
            return {name: worst(list(series.values())) for name, series in self._series.items()}


class WebhookReceiver(ThreadingHTTPServer):
    """An HTTP server that takes notifications on an unguessable path."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        self.alerts = NotifiedAlerts()
        self.path = f"/{secrets.token_hex(16)}"
        super().__init__((address, 0), _Handler)


@contextmanager
def webhook_receiver(address: str) -> Iterator[WebhookReceiver]:
    """Listen on an address of this machine while the ``with`` block runs."""
    server = WebhookReceiver(address)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: WebhookReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status = self._receive(body)
        except (ValueError, LookupError, TypeError):
            status = HTTPStatus.BAD_REQUEST
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _receive(self, body: bytes) -> HTTPStatus:
        if self.path != self.server.path:
            return HTTPStatus.NOT_FOUND
        self.server.alerts.update(json.loads(body))
        return HTTPStatus.OK

    def log_message(self, *_: object) -> None:
        """Log nothing: the terminal belongs to the drill's report."""
