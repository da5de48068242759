"""The only module that uses the wheel: loads a model, runs requests and stops them.

It relies on these facts about `mistralrs` 0.9.5, all found by experiment:
- A call that doesn't stream borrows the Runner until it ends, and any other call meanwhile
  fails ("Already borrowed"). A streaming call returns at once. So everything streams.
- Its iterator blocks, without holding the GIL, so each request has its own thread.
- Dropping the iterator stops the generation at the next token. There is no other way.
- Its errors have a Rust backtrace after the first line.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol, cast

import mistralrs

from embedded_engine.errors import ModelError, RefusedRequestError
from embedded_engine.wire.bodies import DEFAULT_MODEL_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mistralrs import ChatCompletionChunkResponse as Chunk
    from mistralrs import ChatCompletionResponse

    from embedded_engine.models import LoadableModel
    from embedded_engine.wire.requests import Arguments

logger = logging.getLogger(__name__)

# How many chunks may be queued for a slow client before its thread waits. The engine itself never
# waits: it continues to the end of the reply.
_CHUNKS_AHEAD = 64

_TOOL_CHOICES = {"auto": mistralrs.ToolChoice.Auto, "none": mistralrs.ToolChoice.NoTools}


class Runner(Protocol):
    """The part of `mistralrs.Runner` that is used."""

    def send_chat_completion_request(
        self, request: mistralrs.ChatCompletionRequest
    ) -> ChatCompletionResponse | Iterator[Chunk]:
        """Start a request; return an iterator of its chunks if it streams."""


def load(model: LoadableModel) -> Engine:
    """Load a model. This takes seconds, during which no other Python thread runs.

    Raises:
        ModelError: Mistral.rs can't load these files.
    """
    try:
        runner = mistralrs.Runner(which=_which(model), jinja_explicit=str(model.chat_template))
    except ValueError as error:
        raise ModelError(f"{model.model_id} can't be loaded: {_first_line(error)}") from error
    return Engine(model, runner, context_length=runner.max_sequence_length())


class Engine:
    """A loaded model and the requests that run on it.

    Attributes:
        model: What was loaded.
        context_length: Longest prompt plus reply, in tokens; None if unknown.
    """

    def __init__(
        self, model: LoadableModel, runner: Runner, *, context_length: int | None = None
    ) -> None:
        self.model = model
        self.context_length = context_length
        self._runner = runner
        self._submitting = threading.Lock()
        self._running: dict[threading.Thread, Generation] = {}

    async def start(self, arguments: Arguments, choices: int = 1) -> Generation:
        """Start a request.

        Args:
            arguments: From `wire.requests`.
            choices: How many replies to make, one after the other.

        Raises:
            RefusedRequestError: 500, the engine doesn't accept the request.
        """
        generation = Generation(asyncio.get_running_loop())
        thread = threading.Thread(
            target=self._pump, args=(arguments, choices, generation), daemon=True
        )
        self._running[thread] = generation
        thread.start()
        try:
            await generation.accepted
        except BaseException:
            generation.cancel()
            raise
        return generation

    def stop(self) -> None:
        """Cancel all running requests; their readers get an error."""
        for generation in list(self._running.values()):
            generation.cancel()

    def has_stopped(self, timeout_seconds: float) -> bool:
        """Wait for the threads of all requests; return whether all of them have ended."""
        deadline = time.monotonic() + timeout_seconds
        threads = list(self._running)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _pump(self, arguments: Arguments, choices: int, generation: Generation) -> None:
        """Pass on a request's chunks until its end, an error or cancellation; runs in a thread."""
        try:
            for index in range(choices):
                chunks = self._submit(arguments)
                generation.accept()
                if not generation.take_all(index, chunks):
                    break
            generation.finish()
        except RefusedRequestError as error:
            generation.fail(error)
        except BaseException as error:
            # A panic in the wheel isn't an Exception. Without this the reader would wait forever.
            logger.exception("the engine failed a request")
            generation.fail(RefusedRequestError(500, _first_line(error)))
        finally:
            del self._running[threading.current_thread()]

    def _submit(self, arguments: Arguments) -> Iterator[Chunk]:
        choice = arguments.get("tool_choice")
        if choice is not None:
            arguments = arguments | {"tool_choice": _TOOL_CHOICES[choice]}
        try:
            request = mistralrs.ChatCompletionRequest(
                model=DEFAULT_MODEL_NAME, stream=True, **arguments
            )
            # Even this short call borrows the Runner.
            with self._submitting:
                chunks = self._runner.send_chat_completion_request(request)
        except (TypeError, ValueError) as error:
            raise RefusedRequestError(500, _first_line(error)) from error
        return cast("Iterator[Chunk]", chunks)


class Generation:
    """One running request: a thread puts chunks in, the event loop takes them out."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.accepted: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._queue: asyncio.Queue[tuple[int, Chunk] | RefusedRequestError | None] = asyncio.Queue()
        self._room = threading.Semaphore(_CHUNKS_AHEAD)
        self._cancelled = False

    async def next(self) -> tuple[int, Chunk] | None:
        """Wait for the next chunk; return it with the number of its choice, or None at the end.

        Raises:
            RefusedRequestError: 422, the engine failed the request after accepting it.
        """
        item = await self._queue.get()
        if isinstance(item, RefusedRequestError):
            raise item
        self._room.release()
        return item

    def cancel(self) -> None:
        """Stop generating at the next token. Callable from any thread, and after the end."""
        self._cancelled = True
        self._room.release()

    def accept(self) -> None:
        """Let `Engine.start` return: the engine has accepted the request."""
        self._on_loop(_settle, self.accepted, None)

    def take_all(self, index: int, chunks: Iterator[Chunk]) -> bool:
        """Pass on all chunks of one choice; return False if cancelled meanwhile.

        Raises:
            RefusedRequestError: 422, the engine failed.
        """
        try:
            for chunk in chunks:
                self._room.acquire()
                if self._cancelled:
                    return False
                self._on_loop(self._queue.put_nowait, (index, chunk))
        except ValueError as error:
            raise RefusedRequestError(422, _first_line(error)) from error
        return True

    def finish(self) -> None:
        """Let the reader see the end, or an error if the request was cancelled."""
        # Created here and never raised in this thread: a traceback would keep a reference to the
        # engine's iterator, and the generation would continue.
        cancelled = RefusedRequestError(500, "The request was cancelled.")
        self._on_loop(self._queue.put_nowait, cancelled if self._cancelled else None)

    def fail(self, error: RefusedRequestError) -> None:
        """Let `Engine.start` raise an error, or the reader if that has returned."""
        self._on_loop(_settle, self.accepted, error)
        self._on_loop(self._queue.put_nowait, error)

    def _on_loop(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            # The loop is closed: the server is stopping and nothing reads any more.
            self._cancelled = True


def _settle(future: asyncio.Future[None], error: RefusedRequestError | None) -> None:
    """Settle a future unless it is settled or cancelled already."""
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _which(model: LoadableModel) -> mistralrs.Which:
    which: object
    if model.gguf_file is None:
        which = mistralrs.Which.Plain(model_id=str(model.folder))
    else:
        which = mistralrs.Which.GGUF(
            quantized_model_id=str(model.folder),
            quantized_filename=model.gguf_file,
            tokenizer_json=str(model.tokenizer) if model.tokenizer else None,
        )
    # The stub declares these as nested classes; at run time they are variants.
    return cast("mistralrs.Which", which)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
