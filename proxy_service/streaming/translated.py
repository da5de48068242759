"""Translates the events of a chat completion into those of another API that streams events.

What differs between the APIs is how the parts are written, which a subclass does::

    nothing  --first event, or a comment-->  _begin
    then     --thinking, text-->             _thinking, _text or _run
             --finish_reason-->              _call for each tool call
             --usage, [DONE] or close-->     _end, and the stream is done
    any      --error, or an event of unknown shape-->  the batch has the error

Thinking is always written before text that came in the same event. Tool calls are written whole and
last. If the engine sends comments because it is silent for long, the client gets them, too.
"""

from abc import abstractmethod
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii as quoted
from typing import cast

from proxy_service.errors import EngineProtocolError, ProxyError
from proxy_service.streaming.engine_stream import DONE, INCOMPLETE, Batch, EngineStream
from proxy_service.streaming.sse import Event
from proxy_service.streaming.text import TextBuffer
from proxy_service.streaming.tool_calls import ToolCalls
from proxy_service.translate.engine_errors import failed_while_generating, from_event
from proxy_service.translate.replies import thinking_of, to_usage
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import Choice, Completion, ToolCallDelta, Usage
from proxy_service.wire.reading import decode_reply
from proxy_service.wire.writing import to_text

_COMMENT = b":\n\n"


class TranslatedStream(EngineStream):
    """One reply, translated from the engine's bytes into events while it arrives.

    Args:
        model: The model's name as the client sent it.
        stops: Stop strings of the request; the engine may send a part of one.
    """

    def __init__(self, *, model: str, stops: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.model = model
        self.stops = stops
        self._buffer = TextBuffer(stops)
        self._tools = ToolCalls()
        self._begun = False
        self._comments = 0
        self._out: list[bytes] = []
        self._batch = Batch()

    @property
    def held(self) -> int:
        """See `EngineStream.held`."""
        return super().held + self._tools.held

    def feed(self, data: bytes) -> Batch:
        """Translate all events that ``data`` completes."""
        return self._translate(self._read(data))

    def close(self) -> Batch:
        """Translate the rest when the engine has closed its stream."""
        return self._translate([*self._decoder.close(), Event(b"", DONE)])

    @abstractmethod
    def failed(self, error: ProxyError) -> bytes:
        """Return the event that ends a stream that has begun with an error."""

    @abstractmethod
    def _begin(self) -> None:
        """Write the events before any content."""

    @abstractmethod
    def _thinking(self, text: str) -> None:
        """Write thoughts."""

    @abstractmethod
    def _text(self, text: str) -> None:
        """Write text."""

    @abstractmethod
    def _run(self, texts: list[bytes]) -> None:
        """Write texts, which are contents of JSON strings in ASCII."""

    @abstractmethod
    def _call(self, call: ToolCallDelta, position: int) -> None:
        """Write a whole tool call; ``position`` is its own among all calls."""

    @abstractmethod
    def _end(self, usage: Usage) -> None:
        """Write the events after all content."""

    def _write(self, name: str, value: JsonObject) -> None:
        """Write one event."""
        self._out.append(f"event: {name}\ndata: {to_text(value)}\n\n".encode("ascii"))

    def _accepts_runs(self) -> bool:
        return self._buffer.is_transparent and not self.finish_reason

    def _translate(self, items: Iterable[Event | list[bytes]]) -> Batch:
        batch = self._batch = Batch()
        self._out = []
        try:
            for item in items:
                if self.done:
                    break
                if isinstance(item, Event):
                    self._event(item)
                else:
                    self._count(len(item))
                    self._run(item)
        except ProxyError as error:
            batch.error = error
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            batch.error = EngineProtocolError("the engine sent an event of an unknown format")
            batch.error.__cause__ = error
        if self._comments != self._decoder.comments and batch.error is None and not self.done:
            self._pass_comments_on()
        batch.data = b"".join(self._out)
        return batch

    def _pass_comments_on(self) -> None:
        self._comments = self._decoder.comments
        self._open()
        self._out.append(_COMMENT)

    def _open(self) -> None:
        if not self._begun:
            self._begun = True
            self._begin()

    def _event(self, event: Event) -> None:
        if event.data == DONE:
            if not self.finish_reason:
                raise EngineProtocolError(INCOMPLETE)
            self._finish()
            return
        if event.name not in (b"", b"message", b"error"):
            return  # progress of the engine's own tools, for example
        decoded = self._decode(event.data)
        self._open()
        if usage := decoded.get("usage"):
            self.usage = to_usage(usage)
        for choice in decoded["choices"][:1]:
            self._choice(choice)
            self._plain_events.learn(event.data, decoded)
        if self.finish_reason and self.usage:
            self._finish()

    def _decode(self, data: bytes) -> Completion:
        try:
            decoded = decode_reply(data)
        except ValueError:
            raise from_event(data, model=self.model) from None
        if not isinstance(decoded, dict) or "choices" not in decoded:
            raise from_event(data, model=self.model)
        return cast("Completion", decoded)

    def _choice(self, choice: Choice) -> None:
        delta = choice.get("delta") or {}
        thinking, content = thinking_of(delta), delta.get("content")
        calls = delta.get("tool_calls")
        if thinking or content or calls:
            self._deltas += 1
            self._batch.deltas += 1
        if thinking:
            self._batch.chunks += 1
            self._thinking(thinking)
        if content:
            self._release(self._buffer.feed(content))
        if calls:
            self._tools.add(calls)
        reason = choice.get("finish_reason")
        if reason and not self.finish_reason:
            self._begin_finish(reason)

    def _release(self, text: str) -> None:
        if text:
            self._batch.chunks += 1
            self._text(text)

    def _count(self, events: int) -> None:
        self._batch.chunks += events
        self._batch.deltas += events
        self._deltas += events

    def _begin_finish(self, reason: str) -> None:
        if reason == "error":
            raise failed_while_generating({}, model=self.model)
        self.finish_reason = reason
        self._release(self._buffer.flush())
        for position, call in enumerate(self._tools.calls):
            self._batch.chunks += 1
            self._call(call, position)

    def _finish(self) -> None:
        self._end(Usage(completion_tokens=self._deltas) | (self.usage or {}))
        self.done = True


def run_of_events(before: str, texts: list[bytes], after: str) -> bytes:
    """Return one event for each text; ``before`` and ``after`` are what surrounds it, in ASCII."""
    head, tail = before.encode("ascii"), after.encode("ascii")
    return head + (tail + head).join(texts) + tail


def text_event(before: str, text: str, after: str) -> bytes:
    """Return one event with a text, which is quoted; see `run_of_events`."""
    return f"{before[:-1]}{quoted(text)}{after[1:]}".encode("ascii")
