"""Requests on a scripted runner: when the engine keeps an iterator, and when it drops it."""

import asyncio
import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded_engine.app import stream_events
from embedded_engine.engine import Engine, Generation
from embedded_engine.errors import RefusedRequestError
from embedded_engine.models import LoadableModel
from tests.processes import TIMEOUT_SECONDS

MODEL = LoadableModel("scripted", Path(), None, Path(), None)
ARGUMENTS = {"messages": [{"role": "user", "content": "hello"}]}


class ScriptedRunner:
    """Streams numbers without end, and records when its iterator was dropped."""

    def __init__(self) -> None:
        self.dropped = threading.Event()

    def send_chat_completion_request(self, _request: object) -> Any:  # noqa: ANN401
        return self._numbers()

    def _numbers(self) -> Iterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
        finally:
            self.dropped.set()


class FailingRunner:
    """Fails as the wheel does: a line of text, then a backtrace."""

    def send_chat_completion_request(self, _request: object) -> Any:  # noqa: ANN401
        yield 1
        raise ValueError("out of memory\n   0: <candle_core::error::Error>::bt\n")


class PanickingRunner:
    """Fails as the wheel does when its Rust code panics: not with an Exception."""

    def send_chat_completion_request(self, _request: object) -> Any:  # noqa: ANN401
        raise BaseException("explicit panic")  # noqa: TRY002


async def next_chunk(generation: Generation) -> object:
    """Return what the scripted runner streams in place of the wheel's chunks."""
    return await generation.next()


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Turn off the cycle collector, so that only what nothing refers to is dropped."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
async def test_cancelling_drops_the_engines_iterator() -> None:
    """This is the only way to stop a generation, so nothing may keep a reference to it."""
    runner = ScriptedRunner()
    generation = await Engine(MODEL, runner).start(ARGUMENTS)
    assert await next_chunk(generation) == (0, 0)
    generation.cancel()
    assert await asyncio.to_thread(runner.dropped.wait, TIMEOUT_SECONDS)


@pytest.mark.usefixtures("no_collector")
async def test_stopping_the_engine_drops_all_iterators_and_ends_their_threads() -> None:
    runner = ScriptedRunner()
    engine = Engine(MODEL, runner)
    await engine.start(ARGUMENTS)
    assert not engine.has_stopped(timeout_seconds=0.0)
    engine.stop()
    assert await asyncio.to_thread(engine.has_stopped, TIMEOUT_SECONDS)
    assert runner.dropped.is_set()


async def test_chunks_arrive_in_order_however_slowly_they_are_read() -> None:
    generation = await Engine(MODEL, ScriptedRunner()).start(ARGUMENTS)
    received = [await next_chunk(generation) for _ in range(1000)]
    generation.cancel()
    assert received == [(0, number) for number in range(1000)]


async def test_a_failure_arrives_after_the_chunks_before_it_as_one_line() -> None:
    generation = await Engine(MODEL, FailingRunner()).start(ARGUMENTS)
    assert await next_chunk(generation) == (0, 1)
    with pytest.raises(RefusedRequestError, match=r"^out of memory$") as caught:
        await generation.next()
    assert caught.value.status == 422


async def test_a_panic_is_a_failed_request() -> None:
    with pytest.raises(RefusedRequestError, match="explicit panic") as caught:
        await Engine(MODEL, PanickingRunner()).start(ARGUMENTS)
    assert caught.value.status == 500


async def test_a_silent_stream_gets_comments() -> None:
    """Afterwards it continues: waiting must not lose a chunk."""
    generation = Generation(asyncio.get_running_loop())
    events = stream_events(generation, lambda chunk, **_: {"text": chunk}, 0.01)
    assert [await anext(events), await anext(events)] == [b":\n\n", b":\n\n"]
    chunks: Iterator[Any] = iter(["hello"])
    generation.take_all(0, chunks)
    generation.finish()
    rest = [event async for event in events if event != b":\n\n"]
    assert rest == [b'data: {"text":"hello"}\n\n', b"data: [DONE]\n\n"]


async def test_a_request_that_the_wheel_does_not_accept_is_refused() -> None:
    with pytest.raises(RefusedRequestError) as caught:
        await Engine(MODEL, ScriptedRunner()).start({"messages": [{"role": 1}]})
    assert caught.value.status == 500
