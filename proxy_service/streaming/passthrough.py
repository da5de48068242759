"""Watches a ``/v1`` stream that is passed to the client byte for byte.

It reads only what the metrics need: which events have content, the usage, and how the stream ended.
"""

import re
from typing import TYPE_CHECKING, cast

from proxy_service.errors import EngineProtocolError, ProxyError
from proxy_service.streaming.engine_stream import DONE, INCOMPLETE, Batch, EngineStream
from proxy_service.streaming.plain_events import LONGEST_EXAMPLE
from proxy_service.streaming.sse import Event
from proxy_service.translate.engine_errors import from_event
from proxy_service.translate.replies import finish_reason_of, to_usage
from proxy_service.wire.reading import decode_reply

if TYPE_CHECKING:
    from proxy_service.wire.engine import Completion

# The last events of streams that don't end with OpenAI's [DONE].
_LAST_EVENTS = (b"message_stop", b"response.completed", b"response.failed", b"response.incomplete")
# The events that report a failure, in the APIs that name their events.
_FAILURES = (b"error", b"response.failed")
_EMPTY_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_SUMMARY = re.compile(rb'"usage"\s*:\s*\{|"(?:finish_reason|stop_reason|status)"\s*:\s*"')
_CONTENT = re.compile(
    rb'"(?:content|reasoning_content|reasoning|text|delta|thinking|partial_json)"\s*:\s*"[^"]|"tool_calls"\s*:\s*\[\s*\{'
)


class PassthroughStream(EngineStream):
    """Counts the chunks and deltas of a stream, and leaves its bytes unchanged."""

    def __init__(self, *, model: str) -> None:
        super().__init__()
        self._model = model

    def feed(self, data: bytes) -> Batch:
        """Count the events that ``data`` completes; ``Batch.data`` is ``data`` itself."""
        batch = Batch(data)
        try:
            for item in self._read(data):
                if isinstance(item, Event):
                    self._event(item, batch)
                else:
                    batch.chunks += len(item)
                    batch.deltas += len(item)
        except ProxyError as error:
            batch.error = error
        self._deltas += batch.deltas
        return batch

    def close(self) -> Batch:
        """Check that the stream was complete when the engine closed it."""
        batch = Batch()
        for event in self._decoder.close():
            self._event(event, batch)
        if not self.done and batch.error is None:
            batch.error = EngineProtocolError(INCOMPLETE)
        return batch

    def _event(self, event: Event, batch: Batch) -> None:
        if event.data == DONE or event.name in _LAST_EVENTS:
            self.done = True
        if event.data == DONE or _EMPTY_CHOICES.search(event.data):
            self._read_summary(event.data)
            return
        failed = event.name in _FAILURES or event.data.startswith(b'{"error"')
        if failed or not event.data.startswith(b"{"):
            if batch.error is None:
                batch.error = from_event(event.data, model=self._model)
            return
        if _SUMMARY.search(event.data):
            self._read_summary(event.data)
        # Other APIs name their events. At the end of a part they repeat the text of its deltas.
        plain = event.name in (b"", b"message") or event.name.endswith(b"delta")
        if plain and _CONTENT.search(event.data):
            batch.chunks += 1
            batch.deltas += 1
            if self._plain_events.accepts_examples and len(event.data) <= LONGEST_EXAMPLE:
                self._learn(event.data)

    def _learn(self, data: bytes) -> None:
        try:
            self._plain_events.learn(data, cast("Completion", decode_reply(data)))
        except (AttributeError, KeyError, TypeError, ValueError):
            return  # an event of another API

    def _read_summary(self, data: bytes) -> None:
        try:
            summary = decode_reply(data)
        except ValueError:
            return  # of an unknown shape, which the client may understand
        if isinstance(summary, dict):
            response = summary.get("response")
            summary = response if isinstance(response, dict) else summary
            self.usage = to_usage(summary.get("usage")) or self.usage
            self.finish_reason = finish_reason_of(summary) or self.finish_reason
