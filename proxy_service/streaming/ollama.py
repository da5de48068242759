"""Translates the engine's events into Ollama's chunks, each written as a line.

A stream starts as *open*, and ends as *done* or *failed*::

    open       --finish_reason-->                        finishing
    open       --[DONE] or close-->                      failed
    finishing  --usage, [DONE] or close-->               done
    any        --error, or an event of unknown shape-->  failed

While *open*, each delta becomes at most two chunks: thinking, then content. At the start
of *finishing*, the text that was held back and the tool calls are written. Mistral.rs sends usage
together with the finish_reason, so *done* usually follows at once: the last line is written. When a
stream has *failed*, the caller gets the error and sends it as a status or, if the response has
begun, as a line. After *done* and *failed* nothing is written.
"""

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from typing import cast

from proxy_service.clock import Moment
from proxy_service.errors import EngineProtocolError, ProxyError
from proxy_service.streaming.engine_stream import DONE, INCOMPLETE, Batch, EngineStream
from proxy_service.streaming.lines import NdjsonLines, Part
from proxy_service.streaming.plain_events import decode
from proxy_service.streaming.sse import Event
from proxy_service.streaming.text import TextBuffer
from proxy_service.streaming.tool_calls import ToolCalls
from proxy_service.streaming.whole import WholeResponse
from proxy_service.translate.context import MAX_CONTEXT_BYTES
from proxy_service.translate.engine_errors import failed_while_generating, from_event
from proxy_service.translate.replies import (
    done_reason,
    thinking_of,
    to_ollama_counts,
    to_ollama_logprobs,
    to_ollama_tool_calls,
    to_usage,
)
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import Choice, Completion, Usage
from proxy_service.wire.reading import decode_reply

# About how much the logprobs of one event take, with `MAX_TOP_LOGPROBS` alternatives.
_LOGPROBS_BYTES = 4096


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What a stream needs to know about its request.

    ``load_ns`` is how long loading the model took. ``context_of`` returns the field
    ``context`` of generate for a complete text, if it has one.
    """

    model: str
    chat: bool
    stops: tuple[str, ...] = ()
    top_logprobs: int = 0
    load_ns: int = 0
    context_of: Callable[[str], JsonObject] | None = None


class OllamaStream(EngineStream):
    """One reply, translated from the engine's bytes into lines while it arrives."""

    def __init__(self, options: StreamOptions, whole: WholeResponse | None = None) -> None:
        """Write lines, or collect them in ``whole``."""
        super().__init__()
        self._options = options
        self._lines = whole or NdjsonLines(model=options.model, chat=options.chat)
        self._buffer = TextBuffer(options.stops)
        self._received = 0  # characters that the buffer was fed
        # With the positions of their texts.
        self._logprobs: deque[tuple[int, list[JsonObject]]] = deque()
        self._tools = ToolCalls()
        self._context_of = options.context_of
        self._text = StringIO()  # for the context
        self._out: list[bytes] = []
        self._batch = Batch()

    def feed(self, data: bytes, at: Moment) -> Batch:
        """Translate all events that ``data`` completes."""
        return self._translate(self._read(data), at)

    @property
    def held(self) -> int:
        """See `EngineStream.held`."""
        waiting = _LOGPROBS_BYTES * len(self._logprobs)
        return super().held + self._tools.held + self._text.tell() + waiting

    def close(self, at: Moment) -> Batch:
        """Translate the rest when the engine has closed its stream."""
        return self._translate([*self._decoder.close(), Event(b"", DONE)], at)

    def _accepts_runs(self) -> bool:
        return self._buffer.is_transparent and not self.finish_reason

    def _translate(self, items: Iterable[Event | list[bytes]], at: Moment) -> Batch:
        batch = self._batch = Batch()
        self._out = []
        try:
            for item in items:
                if self.done:
                    break
                if isinstance(item, Event):
                    self._event(item, at)
                else:
                    self._run(item, at)
        except ProxyError as error:
            batch.error = error
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            batch.error = EngineProtocolError("the engine sent an event of an unknown format")
            batch.error.__cause__ = error
        batch.data = b"".join(self._out)
        return batch

    def _run(self, texts: list[bytes], at: Moment) -> None:
        """Translate a run of plain events together."""
        self._out.append(self._lines.run(texts, at.created_at))
        self._batch.chunks += len(texts)
        self._batch.deltas += len(texts)
        self._deltas += len(texts)
        if self._context_of is not None:
            self._remember(decode(texts))

    def _event(self, event: Event, at: Moment) -> None:
        if event.data == DONE:
            self._end(at)
            return
        if event.name not in (b"", b"message", b"error"):
            return  # progress of tools, for example, for which Ollama has no chunk
        decoded = self._decode(event.data)
        if usage := decoded.get("usage"):
            self.usage = to_usage(usage)
        for choice in decoded["choices"][:1]:
            self._choice(choice, at)
            self._plain_events.learn(event.data, decoded)
        if self.finish_reason and self.usage:
            self._finish(at)

    def _decode(self, data: bytes) -> Completion:
        decoded: object = None
        with suppress(ValueError):
            decoded = decode_reply(data)
        if not isinstance(decoded, dict) or "choices" not in decoded:
            raise from_event(data, model=self._options.model)
        return cast("Completion", decoded)

    def _choice(self, choice: Choice, at: Moment) -> None:
        delta = choice.get("delta") or {}
        thinking, content = thinking_of(delta), delta.get("content")
        calls = delta.get("tool_calls")
        if thinking or content or calls:
            self._batch.deltas += 1
            self._deltas += 1
        logprobs = choice.get("logprobs")
        entries = to_ollama_logprobs(logprobs, self._options.top_logprobs) if logprobs else []
        if thinking:
            self._write("thinking", thinking, at, [] if content else entries)
        if content or (entries and not thinking):
            self._content(content or "", at, entries)
        if calls:
            self._tools.add(calls)
        reason = choice.get("finish_reason")
        if reason and not self.finish_reason:
            self._begin_finish(reason, at)

    def _content(self, text: str, at: Moment, logprobs: list[JsonObject]) -> None:
        if logprobs:
            self._logprobs.append((self._received, logprobs))
        self._received += len(text)
        self._write("content", self._buffer.feed(text), at, self._take_logprobs())

    def _take_logprobs(self) -> list[JsonObject]:
        """Return the logprobs whose text was at least partly released; keep the others."""
        waiting, released = self._logprobs, self._buffer.released
        taken: list[JsonObject] = []
        while waiting and waiting[0][0] < released:
            taken += waiting.popleft()[1]
        return taken

    def _write(self, part: Part, text: str, at: Moment, logprobs: list[JsonObject]) -> None:
        if not text:
            return
        self._out.append(self._lines.text(part, text, at.created_at, logprobs))
        self._batch.chunks += 1
        if part == "content" and self._context_of is not None:
            self._remember(text)

    def _remember(self, text: str) -> None:
        """Add text for the context, which is left out if it would be too long."""
        self._text.write(text)
        if self._text.tell() > MAX_CONTEXT_BYTES:
            self._context_of = None
            self._text = StringIO()

    def _begin_finish(self, reason: str, at: Moment) -> None:
        if reason == "error":
            raise failed_while_generating({}, model=self._options.model)
        self.finish_reason = reason
        self._write("content", self._buffer.flush(), at, self._take_logprobs())
        if calls := to_ollama_tool_calls(self._tools.calls):
            self._out.append(self._lines.tool_calls(calls, at.created_at))
            self._batch.chunks += 1

    def _end(self, at: Moment) -> None:
        if not self.finish_reason:
            raise EngineProtocolError(INCOMPLETE)
        self._finish(at)

    def _finish(self, at: Moment) -> None:
        usage = Usage(completion_tokens=self._deltas) | (self.usage or {})
        reason = "stop" if self._buffer.stopped else done_reason(self.finish_reason)
        tail: JsonObject = {"done": True, "done_reason": reason}
        tail |= to_ollama_counts(usage, at=at, load_ns=self._options.load_ns)
        if self._logprobs and not self._buffer.stopped:
            # Tokens without text have logprobs too, such as the token that ends a reply.
            tail["logprobs"] = [entry for _, entries in self._logprobs for entry in entries]
        if self._context_of is not None:
            tail |= self._context_of(self._text.getvalue())
        self._out.append(self._lines.final(tail, at.created_at))
        self.done = True
