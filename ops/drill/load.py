"""Load on the drill's proxy: clients that send one request after the other until stopped."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from ops.drill.stand_in_engine import MODEL

TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class ClientGroup:
    """Some clients that behave alike.

    Attributes:
        count: Number of clients. Each has one request in flight.
        pause_seconds: Pause of each client between a response and its next request.
        model: Model that they ask for.
        ramp_up_seconds: Time over which they start, so that their responses don't end together.
    """

    count: int
    pause_seconds: float = 0.05
    model: str = MODEL
    ramp_up_seconds: float = 0.0


@dataclass
class Traffic:
    """Counts the responses so far. Safe to use from any thread."""

    responses: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def count_response(self) -> None:
        """Count one response, successful or not."""
        with self._changed:
            self.responses += 1
            self._changed.notify_all()

    def wait_for(self, responses: int, *, timeout: float) -> None:
        """Wait for that many responses, at most ``timeout`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.responses >= responses, timeout)


@contextmanager
def generate_load(proxy: str, *groups: ClientGroup) -> Iterator[Traffic]:
    """Let the clients send requests to the proxy while the ``with`` block runs.

    The end of the block does not wait for requests in flight: the clients' threads are daemons.
    """
    stop, traffic = threading.Event(), Traffic()
    for group in groups:
        for number in range(group.count):
            delay = group.ramp_up_seconds * number / group.count
            arguments = (proxy, group, delay, stop, traffic)
            threading.Thread(target=_run_client, args=arguments, daemon=True).start()
    try:
        yield traffic
    finally:
        stop.set()


def _run_client(
    proxy: str, group: ClientGroup, delay: float, stop: threading.Event, traffic: Traffic
) -> None:
    stop.wait(delay)
    # One connection per client, kept open as Ollama's own clients do.
    connection = HTTPConnection(urlsplit(proxy).netloc, timeout=TIMEOUT_SECONDS)
    with closing(connection):
        while not stop.is_set():
            _chat(connection, group.model)
            traffic.count_response()
            stop.wait(group.pause_seconds)


def _chat(connection: HTTPConnection, model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Is there fire?"}]}
    try:
        connection.request("POST", "/api/chat", json.dumps(body))
        connection.getresponse().read()
    except (OSError, HTTPException):
        connection.close()  # some conditions kill the proxy; the next request reconnects
