"""Requests on a scripted runner: when the engine keeps an iterator, and when it drops it."""

import asyncio
import gc
import queue
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded_engine.app import stream_events
from embedded_engine.engine import Engine, Generation
from embedded_engine.errors import FailedRequestError, RefusedRequestError
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

    def __init__(self, message: str) -> None:
        self.message = message

    def send_chat_completion_request(self, _request: object) -> Any:  # noqa: ANN401
        yield 1
        raise ValueError(f"{self.message}\n   0: <candle_core::error::Error>::bt\n")


class PanickingRunner:
    """Fails as the wheel does when its Rust code panics: not with an Exception."""

    def send_chat_completion_request(self, _request: object) -> Any:  # noqa: ANN401
        raise BaseException("explicit panic")  # noqa: TRY002


class Prompt:
    """A request that the runner below has got."""

    def __init__(self) -> None:
        self.read = threading.Event()

    def chunks(self) -> Iterator[str]:
        assert self.read.wait(TIMEOUT_SECONDS)
        yield "first"
        yield "second"


class WaitingRunner:
    """Records the requests that it gets, and reads their prompts when it is told to."""

    def __init__(self) -> None:
        self.got: queue.Queue[Prompt] = queue.Queue()

    def send_chat_completion_request(self, _request: object) -> Any:  # noqa: ANN401
        prompt = Prompt()
        self.got.put(prompt)
        return prompt.chunks()

    async def next_prompt(self) -> Prompt:
        return await asyncio.to_thread(self.got.get, timeout=TIMEOUT_SECONDS)


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
    generation = Engine(MODEL, runner).start(ARGUMENTS)
    assert await next_chunk(generation) == (0, 0)
    generation.cancel()
    assert await asyncio.to_thread(runner.dropped.wait, TIMEOUT_SECONDS)


@pytest.mark.usefixtures("no_collector")
async def test_stopping_the_engine_drops_all_iterators_and_ends_their_threads() -> None:
    runner = ScriptedRunner()
    engine = Engine(MODEL, runner)
    generation = engine.start(ARGUMENTS)
    assert await next_chunk(generation) == (0, 0)
    assert not engine.has_stopped(timeout_seconds=0.0)
    engine.stop()
    assert await asyncio.to_thread(engine.has_stopped, TIMEOUT_SECONDS)
    assert runner.dropped.is_set()


async def test_chunks_arrive_in_order_however_slowly_they_are_read() -> None:
    generation = Engine(MODEL, ScriptedRunner()).start(ARGUMENTS)
    received = [await next_chunk(generation) for _ in range(1000)]
    generation.cancel()
    assert received == [(0, number) for number in range(1000)]


@pytest.mark.parametrize(
    ("message", "fault", "status"),
    [
        ("input tensor is not contiguous Layout { shape: [3, 1, 640] }", FailedRequestError, 500),
        ("out of memory", FailedRequestError, 500),
        ("Prompt sequence length is greater than 8192, perhaps", RefusedRequestError, 422),
        ("Invalid grammar. Invalid type: nope", RefusedRequestError, 422),
    ],
)
async def test_a_failure_arrives_after_the_chunks_before_it_as_one_line(
    message: str, fault: type[Exception], status: int
) -> None:
    generation = Engine(MODEL, FailingRunner(message)).start(ARGUMENTS)
    assert await next_chunk(generation) == (0, 1)
    with pytest.raises(fault, match=f"^{re.escape(message)}$") as caught:
        await generation.next()
    assert caught.value.status == status  # type: ignore[attr-defined]


async def test_a_panic_is_a_failed_request() -> None:
    generation = Engine(MODEL, PanickingRunner()).start(ARGUMENTS)
    with pytest.raises(FailedRequestError, match="explicit panic") as caught:
        await generation.accepted(TIMEOUT_SECONDS)
    assert caught.value.status == 500


async def test_a_prompt_is_sent_to_the_engine_once_the_one_before_is_read() -> None:
    """Afterwards both are generated side by side."""
    runner = WaitingRunner()
    engine = Engine(MODEL, runner)
    first, second = engine.start(ARGUMENTS), engine.start(ARGUMENTS)
    prompt = await runner.next_prompt()
    assert runner.got.empty()
    prompt.read.set()
    (await runner.next_prompt()).read.set()
    assert [await next_chunk(generation) for generation in (second, first)] == [(0, "first")] * 2
    assert [await next_chunk(generation) for generation in (second, first)] == [(0, "second")] * 2


async def test_each_choice_waits_for_its_turn() -> None:
    runner = WaitingRunner()
    engine = Engine(MODEL, runner)
    two = engine.start(ARGUMENTS, choices=2)
    prompt = await runner.next_prompt()
    one = engine.start(ARGUMENTS)
    prompt.read.set()
    prompts = [await runner.next_prompt()]
    assert runner.got.empty()
    prompts[0].read.set()
    (await runner.next_prompt()).read.set()
    assert [await next_chunk(two) for _ in range(4)] == [
        (index, text) for index in (0, 1) for text in ("first", "second")
    ]
    assert await next_chunk(one) == (0, "first")


async def test_a_request_that_is_cancelled_while_held_back_is_never_sent() -> None:
    runner = WaitingRunner()
    engine = Engine(MODEL, runner)
    generations = [engine.start(ARGUMENTS) for _ in range(4)]
    prompt = await runner.next_prompt()
    for generation in generations[1:3]:
        generation.cancel()
    prompt.read.set()
    (await runner.next_prompt()).read.set()
    assert await next_chunk(generations[3]) == (0, "first")
    assert runner.got.empty()


async def test_a_prompt_that_nobody_waits_for_any_more_still_has_to_be_read() -> None:
    """The engine can't be interrupted, and would batch the next prompt with it."""
    runner = WaitingRunner()
    engine = Engine(MODEL, runner)
    first, second = engine.start(ARGUMENTS), engine.start(ARGUMENTS)
    prompt = await runner.next_prompt()
    first.cancel()
    assert runner.got.empty()
    prompt.read.set()
    (await runner.next_prompt()).read.set()
    assert await next_chunk(second) == (0, "first")


async def test_a_failed_request_lets_the_next_one_start() -> None:
    engine = Engine(MODEL, PanickingRunner())
    for generation in [engine.start(ARGUMENTS) for _ in range(3)]:
        with pytest.raises(FailedRequestError):
            await generation.next()


async def test_stopping_ends_requests_that_are_held_back() -> None:
    runner = WaitingRunner()
    engine = Engine(MODEL, runner)
    generations = [engine.start(ARGUMENTS) for _ in range(3)]
    prompt = await runner.next_prompt()
    engine.stop()
    prompt.read.set()
    for generation in generations:
        with pytest.raises(FailedRequestError, match="stopping") as caught:
            await generation.next()
        assert caught.value.status == 503
    assert await asyncio.to_thread(engine.has_stopped, TIMEOUT_SECONDS)


async def test_a_stream_that_is_held_back_begins_without_waiting_for_its_turn() -> None:
    """It then gets comments, so that its client knows that the server is alive."""
    runner = WaitingRunner()
    engine = Engine(MODEL, runner)
    first, second = engine.start(ARGUMENTS), engine.start(ARGUMENTS)
    await first.accepted(TIMEOUT_SECONDS)
    await second.accepted(0.01)
    (await runner.next_prompt()).read.set()
    (await runner.next_prompt()).read.set()
    assert await next_chunk(second) == (0, "first")


async def test_a_thread_that_cannot_start_is_the_engines_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    engine = Engine(MODEL, ScriptedRunner())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(FailedRequestError, match="can't start new thread") as caught:
            engine.start(ARGUMENTS)
    assert caught.value.status == 503
    assert engine.has_stopped(timeout_seconds=0.0)
    generation = engine.start(ARGUMENTS)
    assert await next_chunk(generation) == (0, 0)
    generation.cancel()


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
    generation = Engine(MODEL, ScriptedRunner()).start({"messages": [{"role": 1}]})
    with pytest.raises(RefusedRequestError) as caught:
        await generation.accepted(TIMEOUT_SECONDS)
    assert caught.value.status == 422
