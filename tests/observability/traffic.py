"""Requests of every kind to a real proxy, whose clock moves only where this module says so.

So each duration that the proxy observes is known exactly. One tick is everything that happens
between two scrapes.
"""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tests.proxy.running import RunningProxy, SteppedClock, eventually
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    OTHER_MODEL,
    USAGE,
    Received,
    Reply,
    ScriptedEngine,
    Step,
    completion,
    delta_event,
    json_reply,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# Seconds between two requests, so that no two things happen at the same time.
_BETWEEN: Final = 0.01

# Seconds from the end of the first stream of a pair to the first token of the second.
_FIRST_TOKEN_AFTER_SLOT: Final = 0.3

WORDS: Final = ("one", " two", " three", " four")
CUT_AFTER: Final = 2  # deltas, by the engine
LEFT_AFTER: Final = 3  # deltas, by the client

# The end of each complete stream.
_END: Final = (delta_event("", finish="stop", usage=USAGE), DONE)

# One request runs at a time, so that the second one of a pair has to wait for its slot.
RUNNING_LIMIT: Final = 1
QUEUED_LIMIT: Final = 4


@dataclass(frozen=True, kw_only=True)
class Sent:
    """One request of a tick, as the metrics must show it.

    Attributes:
        seconds: From the request's head to the last byte of its response.
        engine_seconds: How much of that the proxy waited for the engine's reply.
        queue_seconds: How long the request waited for a slot; None if it did not wait.
        load_seconds: How long the engine took to load the model first; None if it was loaded.
        first_token: Seconds until the first content of a stream.
        decode_tokens: Output tokens whose generation was timed.
        decode_seconds: How long the engine took for them.
        chunks: Elements of a stream with content.
        output_tokens: What the model wrote, whether or not the generation was completed.
        finish_reason: How the generation ended; empty if the request never became one.
        outcome: How the stream ended; empty if it is not a stream.
    """

    endpoint: str = "chat"
    model: str = MODEL
    status: str = "success"
    error_type: str = ""
    seconds: float = 0.0
    engine_seconds: float = 0.0
    queue_seconds: float | None = None
    load_seconds: float | None = None
    first_token: float | None = None
    decode_tokens: int = 0
    decode_seconds: float = 0.0
    chunks: int = 0
    output_tokens: int = 0
    finish_reason: str = ""
    outcome: str = ""

    @property
    def wait_seconds(self) -> float:
        """How long the client waited for content."""
        if self.first_token is not None:
            return self.first_token
        return self.seconds - self.decode_seconds


OUTPUT_TOKENS: Final = int(USAGE["completion_tokens"])


def _whole(**facts: Any) -> Sent:  # noqa: ANN401
    """Describe a whole response, whose usage says how long the engine generated it."""
    decoded = {"decode_tokens": OUTPUT_TOKENS, "decode_seconds": USAGE["total_completion_time_sec"]}
    return Sent(finish_reason="stop", output_tokens=OUTPUT_TOKENS, **{**decoded, **facts})


def _stream(**facts: Any) -> Sent:  # noqa: ANN401
    """Describe a complete stream, all of whose tokens but the first come after it."""
    return Sent(
        finish_reason="stop",
        output_tokens=OUTPUT_TOKENS,
        decode_tokens=OUTPUT_TOKENS - 1,
        decode_seconds=facts["seconds"] - facts["first_token"],
        chunks=len(WORDS),
        outcome="completed",
        **facts,
    )


# What one tick sends. No duration is near the edge of a bucket.
WHOLE: Final = _whole(seconds=2.0, engine_seconds=2.0)
STREAM: Final = _stream(seconds=1.8, engine_seconds=1.8, first_token=0.6)
# Sent while the stream above runs, so it waits for the slot until that one ends.
QUEUED_STREAM: Final = _stream(seconds=2.4, engine_seconds=1.2, queue_seconds=1.2, first_token=1.5)
REFUSED_BY_ENGINE: Final = Sent(
    status="error",
    error_type="upstream_status",
    seconds=0.7,
    engine_seconds=0.7,
    finish_reason="error",
)
REFUSED_STREAM: Final = replace(
    REFUSED_BY_ENGINE, seconds=0.9, engine_seconds=0.9, outcome="upstream_error"
)
CUT: Final = Sent(
    status="error",
    error_type="stream_interrupted",
    seconds=0.4,
    engine_seconds=0.4,
    first_token=0.2,
    decode_tokens=CUT_AFTER - 1,
    chunks=CUT_AFTER,
    output_tokens=CUT_AFTER,
    finish_reason="error",
    outcome="upstream_error",
)
LEFT: Final = Sent(
    status="cancelled",
    seconds=0.3,
    engine_seconds=0.3,
    first_token=0.2,
    decode_tokens=LEFT_AFTER - 1,
    chunks=LEFT_AFTER,
    output_tokens=LEFT_AFTER,
    finish_reason="cancelled",
    outcome="client_disconnected",
)
MALFORMED: Final = Sent(model="", status="client_error", error_type="invalid_request")
OF_OTHER_MODEL: Final = _whole(model=OTHER_MODEL, seconds=1.0, engine_seconds=1.0)
OF_OTHER_ENDPOINT: Final = _whole(endpoint="generate", seconds=0.8, engine_seconds=0.8)
AFTER_LOADING: Final = _whole(seconds=6.2, engine_seconds=1.0, load_seconds=5.2)
LISTING: Final = Sent(endpoint="tags", model="")

TICK: Final = (
    WHOLE,
    STREAM,
    QUEUED_STREAM,
    REFUSED_BY_ENGINE,
    REFUSED_STREAM,
    CUT,
    LEFT,
    MALFORMED,
    OF_OTHER_MODEL,
    OF_OTHER_ENDPOINT,
    LISTING,
    AFTER_LOADING,
)


def post_chat(port: int) -> socket.socket:
    """Send a streamed chat of ``MODEL`` to a proxy, on a connection of its own."""
    messages = [{"role": "user", "content": "hi"}]
    body = json.dumps({"model": MODEL, "messages": messages}).encode()
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    return connection


class Traffic:
    """Sends ticks to ``proxy``, whose engine is ``engine`` and whose clock is ``clock``.

    After each request it waits until the proxy has recorded it. Otherwise the clock could move
    between the last byte and the record.
    """

    def __init__(self, engine: ScriptedEngine, proxy: RunningProxy, clock: SteppedClock) -> None:
        self._engine = engine
        self._proxy = proxy
        self._clock = clock
        self._chunks = 0
        self._queued = 0
        self._held: list[socket.socket] = []
        # Seconds since the proxy started, at the engine's last list of models.
        self.probed_at = 0.0

    def tick(self) -> None:
        """Send each request of ``TICK`` once."""
        self._send(WHOLE, self._after(WHOLE.seconds, completion("".join(WORDS))))
        self._send_pair()
        refusal = json_reply({"message": "broken"}, status=500)
        for refused in (REFUSED_BY_ENGINE, REFUSED_STREAM):
            self._send(refused, self._after(refused.seconds, refusal))
        self._cut_a_stream()
        self._leave_a_stream()
        self._proxy.http.post("/api/chat", content="{")
        self._await_idle()
        self._send(OF_OTHER_MODEL, self._after(OF_OTHER_MODEL.seconds, completion()))
        self._send(OF_OTHER_ENDPOINT, self._after(OF_OTHER_ENDPOINT.seconds, completion()))
        self._load_and_send()

    def hold_two(self) -> None:
        """Leave one request at the engine and one in the queue."""
        self._engine.chat(stream(Step.STALL))
        for gauge in ("running", "queued"):
            self._held.append(post_chat(self._proxy.port))
            self._await(f"mistral_{gauge}_requests 1.0")

    def let_go(self) -> None:
        """Hang up on the requests that are held."""
        for connection in self._held:
            connection.close()
        self._await_idle()

    def _send(self, request: Sent, script: Callable[[Received], Reply]) -> None:
        self._clock.ahead_seconds += _BETWEEN
        self._engine.chat(script)
        body = {"model": request.model, "stream": bool(request.outcome)}
        if request.endpoint == "chat":
            body["messages"] = [{"role": "user", "content": "hi"}]
        else:
            body["prompt"] = "hi"
        self._proxy.http.post(f"/api/{request.endpoint}", json=body)
        self._await_idle()

    def _after(self, seconds: float, reply: Reply) -> Callable[[Received], Reply]:
        """Return a script of an engine that replies this way, ``seconds`` after a request."""

        def script(_: Received) -> Reply:
            self._clock.ahead_seconds += seconds
            return reply

        return script

    def _send_pair(self) -> None:
        """Send a stream, and a second one that waits until the first has ended."""
        first_ends, first_recorded, second_ends = (threading.Event() for _ in range(3))
        deltas = [delta_event(word) for word in WORDS]

        def second(_: Received) -> Reply:
            first_recorded.wait()
            self._clock.ahead_seconds += _FIRST_TOKEN_AFTER_SLOT
            return stream(*deltas, second_ends, *_END, bare_close=True)

        assert STREAM.first_token is not None
        assert QUEUED_STREAM.first_token is not None
        self._clock.ahead_seconds += _BETWEEN
        reply = stream(*deltas, first_ends, *_END, bare_close=True)
        self._engine.chat(self._after(STREAM.first_token, reply))
        with post_chat(self._proxy.port):
            self._await_chunks(STREAM.chunks)
            self._engine.chat(second)
            with post_chat(self._proxy.port):
                self._await("mistral_queued_requests 1.0")
                self._clock.ahead_seconds += STREAM.seconds - STREAM.first_token
                first_ends.set()
                self._queued += 1
                self._await(f"mistral_queue_wait_seconds_count {self._queued}.0")
                self._await("mistral_active_requests 1.0")
                first_recorded.set()
                self._await_chunks(QUEUED_STREAM.chunks)
                self._clock.ahead_seconds += QUEUED_STREAM.seconds - QUEUED_STREAM.first_token
                second_ends.set()
                self._await_idle()

    def _cut_a_stream(self) -> None:
        """Let the engine break off a stream once the proxy has passed on what has arrived."""
        passed_on = threading.Event()
        reply = stream(*[delta_event("x")] * CUT_AFTER, passed_on, Step.CUT)
        self._interrupt(CUT, reply, lambda _: passed_on.set())

    def _leave_a_stream(self) -> None:
        """Hang up in the middle of a stream."""
        reply = stream(*[delta_event("x")] * LEFT_AFTER, Step.STALL)
        self._interrupt(LEFT, reply, lambda connection: connection.close())

    def _interrupt(
        self, request: Sent, reply: Reply, how: Callable[[socket.socket], object]
    ) -> None:
        assert request.first_token is not None
        self._clock.ahead_seconds += _BETWEEN
        self._engine.chat(self._after(request.first_token, reply))
        with post_chat(self._proxy.port) as connection:
            self._await_chunks(request.chunks)
            self._clock.ahead_seconds += request.seconds - request.first_token
            how(connection)
            self._await_idle()

    def _load_and_send(self) -> None:
        """Find the model unloaded, so that the next request has it loaded first."""
        assert AFTER_LOADING.load_seconds is not None
        load_seconds = AFTER_LOADING.load_seconds

        def reload(_: Received) -> Reply:
            self._clock.ahead_seconds += load_seconds
            self._engine.status_of[MODEL] = "loaded"
            self.probed_at = self._clock.ahead_seconds
            return json_reply({"model_id": MODEL, "status": "loaded"})

        self._engine.status_of[MODEL] = "unloaded"
        self._engine.on("/v1/models/reload", reload)
        self._clock.ahead_seconds += _BETWEEN
        self._proxy.http.get("/api/tags")
        self._await_idle()
        self._send(AFTER_LOADING, self._after(AFTER_LOADING.engine_seconds, completion()))

    def _await_chunks(self, more: int) -> None:
        self._chunks += more
        self._await(f'mistral_streaming_chunks_total{{endpoint="chat"}} {self._chunks}.0')

    def _await_idle(self) -> None:
        self._await("mistral_active_requests 0.0")

    def _await(self, line: str) -> None:
        """Wait until the proxy's metrics have this line."""
        found = eventually(lambda: line in self._proxy.http.get("/metrics").text.splitlines())
        assert found, f"{line} is not among the proxy's metrics"
