"""The only module that uses the wheel: loads a model, runs requests and stops them.

It relies on these facts about `mistralrs` 0.9.5, all found by experiment:
- A call that doesn't stream borrows the Runner until it ends, and any other call meanwhile
  fails ("Already borrowed"). A streaming call returns at once. So everything streams.
- Its iterator blocks, without holding the GIL, so each request has its own thread.
- Dropping the iterator stops the generation at the next token. There is no other way.
- Its errors have a Rust backtrace after the first line, and all of them are a ValueError.
- On a CPU, it fails all requests whose prompts it reads in one batch, if the model's last layer is
  quantized; it batches prompts of one length. So one prompt is read at a time. A request's first
  chunk shows that its prompt has been read; the wheel doesn't tell earlier. ADR 0007 has the
  versions.
- On a CPU, its prefix cache keeps the state of every prompt that it has read, whatever its limit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol, cast

import mistralrs

from embedded_engine.errors import (
    FailedRequestError,
    ModelError,
    RefusedRequestError,
    RequestError,
)
from embedded_engine.formats.templates import NO_TEMPLATE, REFUSAL
from embedded_engine.turns import Turns
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

# How the wheel's messages begin that say what is wrong with the request: its validation, its chat
# template, and grammars that are invalid or too complex. Only the text tells whose fault it is.
_REQUEST_FAULTS = (
    f"invalid operation: {REFUSAL}",
    f"invalid operation: {NO_TEMPLATE}",
    "Prompt sequence length is greater than",
    "Received an empty prompt",
    "Invalid grammar",
    "Failed to parse JSON",
    "recursion limit exceeded",
    "lexer error",
    "parser error",
    "Parser Error",
    "max_tokens must be at least",
)

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
        runner = mistralrs.Runner(
            which=_which(model),
            jinja_explicit=str(model.chat_template),
            prefix_cache_n=0,  # it would use up all memory
        )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        # A panic in the wheel, such as one about a damaged file, isn't an Exception.
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
        # Whose turn it is to have its prompt read.
        self._prompts = Turns()
        self._running: dict[threading.Thread, Generation] = {}

    def start(self, arguments: Arguments, choices: int = 1) -> Generation:
        """Start a request; call it in a running event loop.

        Args:
            arguments: From `wire.requests`.
            choices: How many replies to make, one after the other.

        Raises:
            FailedRequestError: 503, the system has no thread left.
        """
        generation = Generation(asyncio.get_running_loop())
        thread = threading.Thread(
            target=self._pump, args=(arguments, choices, generation), daemon=True
        )
        self._running[thread] = generation
        try:
            thread.start()
        except RuntimeError as error:
            del self._running[thread]
            raise FailedRequestError(
                f"The engine can't start a thread for this request ({error}). "
                "Send fewer requests at once.",
                status=503,
            ) from error
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
                chunks = self._begin(arguments, generation)
                if chunks is None or not generation.take_all(index, chunks):
                    break
            generation.finish()
        except ValueError as error:
            generation.fail(_translated(error))
        except RequestError as error:
            generation.fail(error)
        except BaseException as error:
            # A panic in the wheel isn't an Exception. Without this the reader would wait forever.
            logger.exception("the engine failed a request")
            generation.fail(FailedRequestError(_first_line(error)))
        finally:
            del self._running[threading.current_thread()]

    def _begin(self, arguments: Arguments, generation: Generation) -> Iterator[Chunk] | None:
        """Wait for the turn and for the first chunk; return all chunks, or None if cancelled."""
        request = _request(arguments)
        with self._prompts.turn():
            if generation.cancelled:
                return None
            # Nor can two threads make this call at once: even a short one borrows the Runner.
            reply = self._runner.send_chat_completion_request(request)
            generation.accept()
            chunks = cast("Iterator[Chunk]", reply)
            first = list(islice(chunks, 1))
        return chain(first, chunks)


class Generation:
    """One request: a thread puts chunks in, the event loop takes them out."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.cancelled = False
        self._loop = loop
        self._queue: asyncio.Queue[tuple[int, Chunk] | RequestError | None] = asyncio.Queue()
        self._room = threading.Semaphore(_CHUNKS_AHEAD)
        # Set once the engine has accepted or refused the request.
        self._decided = asyncio.Event()
        self._refusal: RequestError | None = None

    async def accepted(self, timeout_seconds: float) -> None:
        """Wait until the engine has accepted the request, or until the time is up.

        Raises:
            RequestError: The engine hasn't accepted it.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._decided.wait()
        if self._refusal is not None:
            raise self._refusal

    async def next(self) -> tuple[int, Chunk] | None:
        """Wait for the next chunk; return it with the number of its choice, or None at the end.

        Raises:
            RequestError: The engine refused or failed the request.
        """
        item = await self._queue.get()
        if isinstance(item, RequestError):
            raise item
        self._room.release()
        return item

    def cancel(self) -> None:
        """Stop generating at the next token. Callable from any thread, and after the end."""
        self.cancelled = True
        self._room.release()

    def accept(self) -> None:
        """Let `accepted` return: the engine has accepted the request."""
        self._on_loop(self._decided.set)

    def take_all(self, index: int, chunks: Iterator[Chunk]) -> bool:
        """Pass on all chunks of one choice; return False if cancelled meanwhile."""
        for chunk in chunks:
            self._room.acquire()
            if self.cancelled:
                return False
            self._on_loop(self._queue.put_nowait, (index, chunk))
        return True

    def finish(self) -> None:
        """Let the reader see the end, or an error if the request was cancelled."""
        if self.cancelled:
            # Created here and never raised in this thread: a traceback would keep a reference to
            # the engine's iterator, and the generation would continue.
            self.fail(FailedRequestError("The engine is stopping.", status=503))
        else:
            self._on_loop(self._queue.put_nowait, None)

    def fail(self, error: RequestError) -> None:
        """Let the reader see an error; also `accepted`, if the engine hasn't accepted yet."""
        self._on_loop(self._refuse, error)
        self._on_loop(self._queue.put_nowait, error)

    def _refuse(self, error: RequestError) -> None:
        if not self._decided.is_set():
            self._refusal = error
            self._decided.set()

    def _on_loop(self, call: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            # The loop is closed: the server is stopping and nothing reads any more.
            self.cancelled = True


def _request(arguments: Arguments) -> mistralrs.ChatCompletionRequest:
    """Build the wheel's request.

    Raises:
        RefusedRequestError: An argument isn't what the wheel accepts.
    """
    choice = arguments.get("tool_choice")
    if choice is not None:
        arguments = arguments | {"tool_choice": _TOOL_CHOICES[choice]}
    try:
        return mistralrs.ChatCompletionRequest(model=DEFAULT_MODEL_NAME, stream=True, **arguments)
    except (OverflowError, TypeError, ValueError) as error:
        raise RefusedRequestError(_first_line(error)) from error


def _translated(error: ValueError) -> RequestError:
    """Tell by its text whether an error of the wheel is the request's fault or the engine's."""
    message = _first_line(error)
    if message.startswith(_REQUEST_FAULTS):
        return RefusedRequestError(message)
    return FailedRequestError(message)


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
