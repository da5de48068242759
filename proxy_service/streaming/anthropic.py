"""Translates the engine's events into those of Anthropic's Messages API.

A message is a sequence of blocks, one open at a time: thoughts, text, and one for each tool call.
Text after thoughts closes their block, and the other way round.
"""

from proxy_service.errors import ProxyError
from proxy_service.streaming.translated import TranslatedStream, run_of_events, text_event
from proxy_service.translate.anthropic.replies import (
    input_of,
    message,
    stop_reason,
    text_block,
    thinking_block,
    to_usage,
    tool_use_block,
)
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import ToolCallDelta, Usage
from proxy_service.wire.errors import Dialect, error_in_stream
from proxy_service.wire.writing import to_text

_DELTA = 'event: content_block_delta\ndata: {"type":"content_block_delta","index":'


class MessagesStream(TranslatedStream):
    """One reply, as the events of a message."""

    def __init__(self, *, message_id: str, model: str, stops: tuple[str, ...] = ()) -> None:
        super().__init__(model=model, stops=stops)
        self._message_id = message_id
        self._block = -1  # the index of the last block
        self._kind = ""  # of the open block, empty if none is open

    def failed(self, error: ProxyError) -> bytes:
        """Return the event that ends a stream that has begun with an error."""
        return error_in_stream(error, Dialect.ANTHROPIC)

    def _begin(self) -> None:
        # The engine counts the prompt's tokens only at the end.
        opening = message(self._message_id, self.model, [])
        self._write("message_start", {"type": "message_start", "message": opening})

    def _thinking(self, text: str) -> None:
        self._switch("thinking", thinking_block(""))
        before = f'{_DELTA}{self._block},"delta":{{"type":"thinking_delta","thinking":"'
        self._out.append(text_event(before, text, '"}}\n\n'))

    def _text(self, text: str) -> None:
        self._switch("text", text_block(""))
        self._out.append(text_event(self._before_text(), text, '"}}\n\n'))

    def _run(self, texts: list[bytes]) -> None:
        self._switch("text", text_block(""))
        self._out.append(run_of_events(self._before_text(), texts, '"}}\n\n'))

    def _before_text(self) -> str:
        return f'{_DELTA}{self._block},"delta":{{"type":"text_delta","text":"'

    def _call(self, call: ToolCallDelta, position: int) -> None:
        arguments = to_text(input_of(call))
        self._close_block()
        self._open_block("tool_use", tool_use_block(call, position, self._message_id))
        delta: JsonObject = {"type": "input_json_delta", "partial_json": arguments}
        self._write_block("content_block_delta", delta=delta)

    def _end(self, usage: Usage) -> None:
        self._close_block()
        reason = stop_reason(self.finish_reason, has_calls=bool(self._tools.calls))
        delta: JsonObject = {"stop_reason": reason, "stop_sequence": None}
        if self._buffer.stopped:
            delta = {"stop_reason": "stop_sequence", "stop_sequence": self._buffer.stop}
        counts = to_usage(usage)
        self._write("message_delta", {"type": "message_delta", "delta": delta, "usage": counts})
        self._write("message_stop", {"type": "message_stop"})

    def _switch(self, kind: str, block: JsonObject) -> None:
        """Have a block of this kind open."""
        if self._kind != kind:
            self._close_block()
            self._open_block(kind, block)

    def _open_block(self, kind: str, block: JsonObject) -> None:
        self._kind = kind
        self._block += 1
        self._write_block("content_block_start", content_block=block)

    def _close_block(self) -> None:
        if self._kind:
            self._kind = ""
            self._write_block("content_block_stop")

    def _write_block(self, name: str, **fields: JsonObject) -> None:
        self._write(name, {"type": name, "index": self._block, **fields})
