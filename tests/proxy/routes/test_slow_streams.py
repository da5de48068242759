"""Streams that run in parallel, and streams with long pauses."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.bodies import CHAT
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    USAGE,
    Received,
    Reply,
    ScriptedEngine,
    default_chat,
    delta_event,
    stream,
)


def test_parallel_streams_do_not_wait_for_each_other(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Each gets its first chunk before either is complete."""
    go_on = threading.Event()
    engine.chat(stream(delta_event("a"), go_on, delta_event("b", finish="stop", usage=USAGE), DONE))
    body = CHAT | {"stream": True}
    with (
        proxy.http.stream("POST", "/api/chat", json=body) as one,
        proxy.http.stream("POST", "/api/chat", json=body) as two,
    ):
        first, second = one.iter_bytes(), two.iter_bytes()
        assert b'"content":"a"' in next(first)
        assert b'"content":"a"' in next(second)
        go_on.set()
        assert b'"done":true' in b"".join(first)
        assert b'"done":true' in b"".join(second)


@pytest.mark.parametrize(
    ("streamed", "begun"), [(True, True), (True, False), (False, False)], ids=str
)
def test_a_long_silence_of_the_engine_does_not_end_a_response(
    engine: ScriptedEngine,
    settings: ProxySettings,
    *,
    streamed: bool,
    begun: bool,
) -> None:
    """Neither before the first byte nor in a stream; the framework's own timeout is 60 s."""
    go_on = threading.Event()

    def stall(_: object) -> Reply:
        if not streamed:
            whole = default_chat(Received("POST", "", {}, b"{}")).steps
            return Reply((go_on, *whole))
        last = delta_event("b", finish="stop", usage=USAGE)
        return stream(delta_event("a"), go_on, last, DONE) if begun else stream(go_on, last, DONE)

    engine.chat(stall)
    long = replace(settings, engine_silence_timeout_seconds=600, engine_reply_timeout_seconds=600)
    with (
        RunningProxy(long) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        pending = pool.submit(proxy.http.post, "/api/chat", json=CHAT | {"stream": streamed})
        proxy.put_forward_in_silence(engine, 599)
        go_on.set()
        response = pending.result()

    lines = [json.loads(line) for line in response.content.splitlines()]
    assert response.status_code == 200
    assert lines[-1]["done"] is True
