"""Clients of the drill's proxy: each asks again and again until it is told to stop."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from ops.drill.engine import MODEL

LONGEST_ANSWER_SECONDS = 120.0


@dataclass(frozen=True)
class Clients:
    """Some clients that behave alike.

    Attributes:
        count: How many ask at once.
        pause_seconds: How long each rests between an answer and the next question.
        model: Whom they ask.
        spread_seconds: Time over which they arrive, so that their answers do not end together.
    """

    count: int
    pause_seconds: float = 0.05
    model: str = MODEL
    spread_seconds: float = 0.0


@dataclass
class Traffic:
    """What the clients have got so far; safe to read from any thread."""

    answers: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def count_one(self) -> None:
        """Count one answer, good or bad."""
        with self._changed:
            self.answers += 1
            self._changed.notify_all()

    def wait_for(self, answers: int, *, seconds: float) -> None:
        """Wait until there are so many answers, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.answers >= answers, seconds)


@contextmanager
def asking(proxy: str, *groups: Clients) -> Iterator[Traffic]:
    """Let the clients ask the proxy for as long as the block runs.

    Leaving waits for nobody: what is in flight ends by itself, the threads are daemons.
    """
    stop, traffic = threading.Event(), Traffic()
    for group in groups:
        for number in range(group.count):
            arrival = group.spread_seconds * number / group.count
            arguments = (proxy, group, arrival, stop, traffic)
            threading.Thread(target=_ask_on, args=arguments, daemon=True).start()
    try:
        yield traffic
    finally:
        stop.set()


def _ask_on(
    proxy: str, group: Clients, arrival: float, stop: threading.Event, traffic: Traffic
) -> None:
    stop.wait(arrival)
    # One connection per client, kept as Ollama's own clients do.
    connection = HTTPConnection(urlsplit(proxy).netloc, timeout=LONGEST_ANSWER_SECONDS)
    with closing(connection):
        while not stop.is_set():
            _ask(connection, group.model)
            traffic.count_one()
            stop.wait(group.pause_seconds)


def _ask(connection: HTTPConnection, model: str) -> None:
    question = {"model": model, "messages": [{"role": "user", "content": "Is there fire?"}]}
    try:
        connection.request("POST", "/api/chat", json.dumps(question))
        connection.getresponse().read()
    except (OSError, HTTPException):
        connection.close()  # a proxy that is away is what some of the conditions are about
