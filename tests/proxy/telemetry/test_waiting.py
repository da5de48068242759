"""How long clients wait, and how fast the engine decodes: what long answers must not change."""

import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.running import Exposition, RunningProxy
from tests.proxy.scripted_engine import (
    CHAT_PATH,
    DONE,
    MODEL,
    OTHER_MODEL,
    USAGE,
    Body,
    Reply,
    ScriptedEngine,
    Step,
    delta_event,
    event,
    json_reply,
    stream,
)
from tests.proxy.telemetry.counting import HELLO, WHOLE, named

WAIT = "mistral_request_wait_seconds"
DECODE_TOKENS = "mistral_decode_tokens_total"
DECODE_SECONDS = "mistral_decode_seconds_total"

# Seconds; each step of a test is much longer than everything that takes real time.
STEP = 100
TOLERANCE = 20
LONG_TIMEOUT = 100_000
TOKENS = 1200
# Of a reply that took a step to decode.
USED: Body = USAGE | {"completion_tokens": TOKENS, "total_completion_time_sec": float(STEP)}
END = delta_event("", finish="stop", usage=USED) + DONE
CALL: Body = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.fixture
def settings(settings: ProxySettings) -> ProxySettings:
    return replace(
        settings,
        engine_silence_timeout_seconds=LONG_TIMEOUT,
        engine_reply_timeout_seconds=LONG_TIMEOUT,
        max_concurrent_requests=1,
    )


class Waiting:
    """One request, during which a test lets steps pass."""

    def __init__(self, engine: ScriptedEngine, proxy: RunningProxy) -> None:
        self._engine = engine
        self._proxy = proxy
        self._pool = ThreadPoolExecutor(1)

    def send(self, path: str, body: Body, reply: Callable[..., Reply], *, steps: int) -> Exposition:
        """Send a request, let a step pass in each of the engine's silences, and return a scrape.

        `reply` gets an event for each silence.
        """
        engine_path = {"/api/chat": CHAT_PATH, "/api/generate": "/v1/completions"}.get(path, path)
        silences = [threading.Event() for _ in range(steps)]
        self._engine.on(engine_path, reply(*silences))
        sent = self._pool.submit(self._proxy.http.post, path, json=body)
        for silence in silences:
            self._proxy.put_forward_in_silence(self._engine, STEP, path=engine_path)
            self._engine.calls(engine_path)[0].silent.clear()
            silence.set()
        sent.result()
        return self._proxy.idle()


@pytest.fixture
def waiting(engine: ScriptedEngine, proxy: RunningProxy) -> Waiting:
    return Waiting(engine, proxy)


def waited(scrape: Exposition, endpoint: str) -> float:
    """Return the steps that the only request of an endpoint waited."""
    assert scrape.value(f"{WAIT}_count", endpoint=endpoint) == 1
    return round(scrape.value(f"{WAIT}_sum", endpoint=endpoint) / STEP, 1)


def decoded(scrape: Exposition) -> tuple[float, float]:
    """Return the decoded tokens, and the steps that they took."""
    seconds = scrape.value(DECODE_SECONDS, model=MODEL)
    return scrape.value(DECODE_TOKENS, model=MODEL), round(seconds / STEP, 1)


def whole(value: Body) -> Callable[[threading.Event, threading.Event], Reply]:
    """Return a script: two silences, then a whole reply."""
    return lambda one, two: replace(json_reply(value), steps=(one, two, *json_reply(value).steps))


def chat_reply(usage: Body | None) -> Body:
    choice = {"index": 0, "finish_reason": "stop", "message": {"content": "hi"}, "text": "hi"}
    return {"choices": [choice]} | ({} if usage is None else {"usage": usage})


@pytest.mark.parametrize(
    ("path", "body"),
    [("/api/chat", HELLO), ("/v1/chat/completions", HELLO | {"stream": True})],
)
def test_a_stream_waits_for_its_first_content_and_then_decodes(
    waiting: Waiting, path: str, body: Body
) -> None:
    scrape = waiting.send(
        path,
        body,
        lambda one, two, three: stream(
            delta_event(""), one, delta_event("a"), two, delta_event("b"), three, END
        ),
        steps=3,
    )

    assert waited(scrape, path[1:].replace("api/", "").replace("/", "_")) == 1
    assert decoded(scrape) == (TOKENS - 1, 2)


def test_decoding_is_counted_while_a_stream_runs(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Tokens and seconds together; both are kept when the client disconnects."""
    one, two = threading.Event(), threading.Event()
    engine.chat(stream(delta_event("a"), one, delta_event("b"), two, END))

    with proxy.http.stream("POST", "/api/chat", json=HELLO) as response:
        parts = response.iter_bytes()
        next(parts)
        assert decoded(proxy.scrape()) == (0, 0)
        proxy.put_forward_in_silence(engine, STEP)
        one.set()
        next(parts)
        assert decoded(proxy.scrape()) == (1, 1)
    scrape = proxy.idle()

    assert decoded(scrape) == (1, 1)
    assert waited(scrape, "chat") == 0


def test_a_stream_that_another_request_delays_waits_in_the_queue_too(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    go_on = threading.Event()
    engine.chat(stream(delta_event("a"), go_on, delta_event("b"), END))
    with proxy.http.stream("POST", "/api/chat", json=HELLO) as first, ThreadPoolExecutor(1) as pool:
        parts = first.iter_bytes()
        next(parts)
        second = pool.submit(proxy.http.post, "/v1/chat/completions", json=HELLO)
        assert proxy.counted("mistral_queued_requests", 1)
        proxy.put_forward_in_silence(engine, STEP)
        go_on.set()
        list(parts)
        second.result()
    scrape = proxy.idle()

    assert waited(scrape, "chat") == 0
    assert waited(scrape, "v1_chat_completions") == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", WHOLE),
        ("/v1/chat/completions", HELLO),
        ("/api/generate", {"model": MODEL, "prompt": "hi", "raw": True, "stream": False}),
        ("/api/generate", {"model": MODEL, "prompt": "hi", "raw": True}),
        ("/v1/completions", {"model": MODEL, "prompt": "hi"}),
    ],
    ids=["chat", "v1 chat", "raw", "raw stream", "v1 completions"],
)
def test_a_whole_generation_waits_for_as_long_as_the_engine_does_not_decode(
    waiting: Waiting, path: str, body: Body
) -> None:
    """Two steps, of which the engine decodes for one."""
    scrape = waiting.send(path, body, whole(chat_reply(USED)), steps=2)

    assert waited(scrape, path[1:].replace("api/", "").replace("/", "_")) == 1
    assert decoded(scrape) == (TOKENS, 1)


@pytest.mark.parametrize(
    ("usage", "steps"),
    [
        ({"input_tokens": 1, "output_tokens": TOKENS}, 0),
        ({"input_tokens": 1, "output_tokens": STEP}, 1),
        ({"input_tokens": 1, "output_tokens": 1}, 2),
        ({"output_tokens": TOKENS, "total_completion_time_sec": 0}, 0),
        ({"output_tokens": 1, "total_completion_time_sec": 0}, 2),
        (None, 0),
        ({}, 0),
    ],
    ids=["long", "short", "one token", "no time", "one token, no time", "no usage", "empty usage"],
)
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_without_the_engines_time_a_whole_generation_decodes_a_second_per_token(
    waiting: Waiting, path: str, usage: Body | None, steps: float
) -> None:
    """A long answer isn't a wait, and a hanging engine is. Nothing is known of its speed."""
    reply = {"status": "completed"} | ({} if usage is None else {"usage": usage})
    scrape = waiting.send(path, {"model": MODEL, "input": "hi"}, whole(reply), steps=2)

    assert abs(waited(scrape, path[1:].replace("/", "_")) - steps) <= TOLERANCE / STEP
    assert decoded(scrape) == (0, 0)


def test_a_tool_call_without_text_is_not_a_wait(waiting: Waiting) -> None:
    """The engine sends it in one event, once all of it is decoded."""
    scrape = waiting.send(
        "/api/chat",
        HELLO,
        lambda one, two: stream(
            one, two, delta_event(None, finish="tool_calls", usage=USED, tool_calls=[CALL]), DONE
        ),
        steps=2,
    )

    assert waited(scrape, "chat") == 1
    assert decoded(scrape) == (TOKENS - 1, 1)
    assert scrape.value("mistral_time_per_output_token_seconds_count", model=MODEL) == 0


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_a_tool_call_of_another_api_is_not_a_wait_either(waiting: Waiting, path: str) -> None:
    used = {"output_tokens": TOKENS}
    if path == "/v1/messages":
        call = named("content_block_delta", {"delta": {"partial_json": "{}"}})
        end = named("message_delta", {"delta": {"stop_reason": "tool_use"}, "usage": used})
        end += named("message_stop", {})
    else:
        call = named("response.function_call_arguments.delta", {"delta": "{}"})
        end = named("response.completed", {"response": {"status": "completed", "usage": used}})
    body = {"model": MODEL, "input": "hi", "stream": True}
    scrape = waiting.send(path, body, lambda one: stream(one, call, end), steps=1)

    assert waited(scrape, path[1:].replace("/", "_")) == 0
    assert decoded(scrape) == (0, 0)


def test_a_tool_call_after_text_is_decoded_after_the_first_token(waiting: Waiting) -> None:
    last = delta_event(None, finish="tool_calls", usage=USED, tool_calls=[CALL])
    scrape = waiting.send(
        "/api/chat", HELLO, lambda one: stream(delta_event("a"), one, last, DONE), steps=1
    )

    assert waited(scrape, "chat") == 0
    assert decoded(scrape) == (TOKENS - 1, 1)


@pytest.mark.parametrize(
    "reply",
    [
        lambda one: stream(one, Step.CUT),
        lambda one: stream(one, event({"error": {"message": "out of memory"}})),
        lambda one: Reply((one, b"{}"), status=500),
        lambda one: Reply((one, b"[]")),
        lambda one: stream(one, delta_event("", finish="error", usage=USED)),
        lambda one: stream(one, delta_event("", finish="stop", usage=USAGE), DONE),
    ],
    ids=["cut", "error event", "status", "malformed", "finish reason", "no content"],
)
def test_a_stream_without_content_waits_until_its_end(
    waiting: Waiting, reply: Callable[..., Reply]
) -> None:
    scrape = waiting.send("/api/chat", HELLO, reply, steps=1)

    assert waited(scrape, "chat") == 1
    assert decoded(scrape)[1] == 0


@pytest.mark.parametrize("body", [HELLO, WHOLE], ids=["stream", "whole"])
def test_a_client_that_gives_up_has_waited(
    engine: ScriptedEngine, proxy: RunningProxy, body: Body
) -> None:
    engine.chat(Reply((Step.STALL,)))
    content = json.dumps(body)
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}"
        client.sendall(f"{head}\r\n\r\n{content}".encode())
        proxy.put_forward_in_silence(engine, STEP)
    scrape = proxy.idle()

    assert waited(scrape, "chat") == 1
    assert decoded(scrape) == (0, 0)


def test_an_engine_that_hangs_has_made_its_client_wait(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    short = replace(settings, engine_reply_timeout_seconds=STEP)
    engine.chat(Reply((Step.STALL,)))
    with RunningProxy(short) as proxy, ThreadPoolExecutor(1) as pool:
        sent = pool.submit(proxy.http.post, "/api/chat", json=WHOLE)
        proxy.put_forward_in_silence(engine, STEP + 1)
        assert sent.result().status_code == 504
        scrape = proxy.idle()

    assert waited(scrape, "chat") == 1


@pytest.mark.parametrize(
    ("path", "body", "engine_path"),
    [
        ("/api/embed", {"model": MODEL, "input": "x"}, "/v1/embeddings"),
        ("/v1/embeddings", {"model": MODEL, "input": "x"}, "/v1/embeddings"),
        ("/api/tags", None, "/v1/models"),
        ("/api/pull", {"model": OTHER_MODEL}, "/v1/models/reload"),
        ("/api/chat", {"model": OTHER_MODEL, "messages": []}, "/v1/models/reload"),
    ],
    ids=["embed", "v1 embeddings", "tags", "pull", "load"],
)
def test_everything_else_waits_for_its_duration(
    engine: ScriptedEngine,
    settings: ProxySettings,
    path: str,
    body: Body | None,
    engine_path: str,
) -> None:
    """Whatever the engine's usage says."""
    replies: dict[str, Body] = {
        "/v1/embeddings": {"data": [{"embedding": [1.0], "index": 0}], "usage": USED},
        "/v1/models": {"data": []},
        "/v1/models/reload": {"status": "loaded"},
    }
    with RunningProxy(replace(settings, engine_probe_timeout_seconds=LONG_TIMEOUT)) as proxy:
        engine.status_of[OTHER_MODEL] = "unloaded"
        proxy.probe()
        go_on = threading.Event()
        earlier = len(engine.calls(engine_path))
        reply = json_reply(replies[engine_path])
        engine.on(engine_path, replace(reply, steps=(go_on, *reply.steps)))
        with ThreadPoolExecutor(1) as pool:
            method = "GET" if body is None else "POST"
            sent = pool.submit(proxy.http.request, method, path, json=body)
            proxy.put_forward_in_silence(engine, STEP, path=engine_path, skip=earlier)
            engine.status_of[OTHER_MODEL] = "loaded"
            go_on.set()
            assert sent.result().status_code == 200
        scrape = proxy.idle()

    endpoint = path[1:].replace("api/", "").replace("/", "_")
    assert scrape.value(f"{WAIT}_sum", endpoint=endpoint) >= STEP
    assert decoded(scrape) == (0, 0)
