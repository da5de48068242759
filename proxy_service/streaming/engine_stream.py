"""What all streams of the engine have in common, whether translated or passed through."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy_service.errors import ProxyError
from proxy_service.streaming.plain_events import PlainEvents, first_event_length
from proxy_service.streaming.sse import Event, SSEDecoder

if TYPE_CHECKING:
    from proxy_service.wire.engine import Usage

DONE = b"[DONE]"
# The text of the error when the engine closes a stream too early.
INCOMPLETE = "the engine ended its stream before the reply was complete"


@dataclass(slots=True)
class Batch:
    """What the client gets for the data of one read.

    ``chunks`` counts the chunks with content in ``data``, and ``deltas`` the engine's events with
    content. Since one event may hold several tokens, ``deltas`` is a lower bound of the tokens.
    """

    data: bytes = b""
    chunks: int = 0
    deltas: int = 0
    error: ProxyError | None = None


class EngineStream:
    """One reply of the engine, as far as it has been read."""

    def __init__(self) -> None:
        self._decoder = SSEDecoder()
        self._plain_events = PlainEvents()
        self._deltas = 0
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.done = False

    @property
    def tokens(self) -> int:
        """Output tokens: the engine's count, or the number of deltas so far."""
        return (self.usage or {}).get("completion_tokens", self._deltas)

    @property
    def held(self) -> int:
        """About how many bytes of the reply are held because they can't be passed on yet."""
        return self._decoder.held

    def _accepts_runs(self) -> bool:
        """Return whether plain events may be handled together."""
        return True

    def _read(self, data: bytes) -> Iterable[Event | list[bytes]]:
        """Split the data of one read into events, and runs of plain events as lists of texts."""
        return self._read_first(data) if self._plain_events.needs_example else self._items(data)

    def _read_first(self, data: bytes) -> Iterator[Event | list[bytes]]:
        """Yield the first event separately: once handled, it is the example for the others."""
        length = first_event_length(data)
        yield from self._decoder.feed(data[:length])
        yield from self._items(data[length:])

    def _items(self, data: bytes) -> list[Event | list[bytes]]:
        items: list[Event | list[bytes]] = []
        if self._accepts_runs():
            data = self._decoder.reclaim(data)
            if self._decoder.between_events:
                texts, data = self._plain_events.split(data)
                if texts:
                    items.append(texts)
        if data:
            items += self._decoder.feed(data)
        return items
