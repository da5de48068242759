"""Translates the engine's events into those of OpenAI's Responses API.

A response is a sequence of items, one open at a time: thoughts, a message, and one for each tool
call. Thoughts and the message each have one part. All events are numbered. Each item and part is
repeated as a whole when it is done, and the whole response at the end.
"""

from io import StringIO

from proxy_service.errors import EngineProtocolError, ProxyError
from proxy_service.streaming.plain_events import decode
from proxy_service.streaming.sse import MAX_EVENT_BYTES
from proxy_service.streaming.translated import TranslatedStream
from proxy_service.translate.responses.replies import (
    Frame,
    error_of,
    output_part,
    status_of,
    summary_part,
)
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import ToolCallDelta, Usage
from proxy_service.wire.writing import to_text

_TEXT, _THOUGHTS = "message", "reasoning"
# The events that a part of an item begins and ends with, and those of its text.
_PART = {_TEXT: "content_part", _THOUGHTS: "reasoning_summary_part"}
_DELTA = {_TEXT: "output_text", _THOUGHTS: "reasoning_summary_text"}
_INDEX: dict[str, JsonObject] = {_TEXT: {"content_index": 0}, _THOUGHTS: {"summary_index": 0}}


class ResponsesStream(TranslatedStream):
    """One reply, as the events of a response."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(model=frame.model)
        self._frame = frame
        self._sequence = 0  # the number of the next event
        self._done_items: list[JsonObject] = []
        self._kind = ""  # of the open item, empty if none is open
        self._open_text = StringIO()  # of the open item
        self._characters = 0  # of all items
        self._around_text: tuple[bytes, bytes] | None = None  # of the open message

    @property
    def held(self) -> int:
        """See `EngineStream.held`; the end of a response repeats its text."""
        return super().held + self._characters

    def failed(self, error: ProxyError) -> bytes:
        """Return the event that ends a stream that has begun with an error."""
        self._out = []
        response = self._frame.response("failed", self._done_items, error=error_of(error))
        self._emit("response.failed", response=response)
        return b"\n\n" + b"".join(self._out)

    def _begin(self) -> None:
        response = self._frame.response("in_progress", [])
        self._emit("response.created", response=response)
        self._emit("response.in_progress", response=response)

    def _thinking(self, text: str) -> None:
        self._switch(_THOUGHTS)
        self._delta(text)

    def _text(self, text: str) -> None:
        self._switch(_TEXT)
        self._delta(text)

    def _run(self, texts: list[bytes]) -> None:
        self._switch(_TEXT)
        self._remember(decode(texts))
        before, after = self._around_text = self._around_text or self._surroundings()
        number = self._sequence
        self._sequence += len(texts)
        for text in texts:
            self._out += (before, text, after, b"%d}\n\n" % number)
            number += 1

    def _surroundings(self) -> tuple[bytes, bytes]:
        """Return what comes before a delta of a message, and what comes between it and its number.

        These are the most frequent events, so they aren't encoded one by one.
        """
        name = "response.output_text.delta"
        fields = (
            {"type": name} | self._place() | {"delta": "", "logprobs": [], "sequence_number": 0}
        )
        before, _, after = to_text(fields).partition('"delta":""')
        head = f'event: {name}\ndata: {before}"delta":"'
        return head.encode("ascii"), f'"{after[:-2]}'.encode("ascii")

    def _delta(self, text: str) -> None:
        self._remember(text)
        extra: JsonObject = {"logprobs": []} if self._kind == _TEXT else {}
        self._emit(f"response.{_DELTA[self._kind]}.delta", **self._place(), delta=text, **extra)

    def _call(self, call: ToolCallDelta, position: int) -> None:
        del position  # among all calls; the item has its own among all items
        self._close_item()
        item = self._frame.call(len(self._done_items), call)
        field = "input" if item["type"] == "custom_tool_call" else "arguments"
        name = "custom_tool_call_input" if field == "input" else "function_call_arguments"
        index = len(self._done_items)
        place: JsonObject = {"item_id": item["id"], "output_index": index}
        opened = item | {"status": "in_progress", field: ""}
        self._emit("response.output_item.added", output_index=index, item=opened)
        self._emit(f"response.{name}.delta", **place, delta=item[field])
        done = place | {"name": item["name"], field: item[field]}
        self._emit(f"response.{name}.done", **done)
        self._done_items.append(item)
        self._emit("response.output_item.done", output_index=index, item=item)

    def _end(self, usage: Usage) -> None:
        status = status_of(self.finish_reason)
        self._close_item(status)
        response = self._frame.response(status, self._done_items, usage=usage)
        self._emit(f"response.{status}", response=response)

    def _switch(self, kind: str) -> None:
        """Have an item of this kind open."""
        if self._kind == kind:
            return
        self._close_item()
        self._kind = kind
        item = self._item("", "in_progress")
        self._emit("response.output_item.added", output_index=len(self._done_items), item=item)
        self._emit(f"response.{_PART[kind]}.added", **self._place(), part=self._part(""))

    def _close_item(self, status: str = "completed") -> None:
        if not self._kind:
            return
        text = self._open_text.getvalue()
        extra: JsonObject = {"logprobs": []} if self._kind == _TEXT else {}
        self._emit(f"response.{_DELTA[self._kind]}.done", **self._place(), text=text, **extra)
        self._emit(f"response.{_PART[self._kind]}.done", **self._place(), part=self._part(text))
        item = self._item(text, status)
        self._emit("response.output_item.done", output_index=len(self._done_items), item=item)
        self._done_items.append(item)
        self._kind, self._open_text, self._around_text = "", StringIO(), None

    def _remember(self, text: str) -> None:
        self._characters += self._open_text.write(text)
        if self._characters > MAX_EVENT_BYTES:
            raise EngineProtocolError(
                f"the engine's reply has more than {MAX_EVENT_BYTES} characters, "
                "which the last event of a response would repeat"
            )

    def _place(self) -> JsonObject:
        """Return where the open part is."""
        position = len(self._done_items)
        place: JsonObject = {"item_id": self._item("", "")["id"], "output_index": position}
        return place | _INDEX[self._kind]

    def _item(self, text: str, status: str) -> JsonObject:
        position = len(self._done_items)
        if self._kind == _TEXT:
            return self._frame.message(position, text, status)
        return self._frame.reasoning(position, text)

    def _part(self, text: str) -> JsonObject:
        return output_part(text) if self._kind == _TEXT else summary_part(text)

    def _emit(self, event: str, **fields: object) -> None:
        self._write(event, {"type": event, **fields, "sequence_number": self._sequence})
        self._sequence += 1
