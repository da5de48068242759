"""What every stream of the engine has in common, whoever it goes to."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy_service.errors import ProxyError
from proxy_service.streaming.runs import PlainRuns, first_event
from proxy_service.streaming.sse import Event, SSEDecoder

if TYPE_CHECKING:
    from proxy_service.wire.openai import Usage

DONE = b"[DONE]"


@dataclass(slots=True)
class Batch:
    """What the bytes of one read come to.

    ``chunks`` counts lines that carry content, ``deltas`` the engine's events that did: a
    lower bound of the tokens, for one event may hold several.
    """

    data: bytes = b""
    chunks: int = 0
    deltas: int = 0
    error: ProxyError | None = None


class EngineStream:
    """One reply of the engine's, as far as it was read."""

    def __init__(self) -> None:
        self._decoder = SSEDecoder()
        self._runs = PlainRuns()
        self._deltas = 0
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.done = False

    @property
    def tokens(self) -> int:
        """Output tokens: the engine's count, else the events seen so far."""
        return (self.usage or {}).get("completion_tokens", self._deltas)

    def _takes_runs(self) -> bool:
        """Tell whether plain chunks need not be looked at one by one."""
        return True

    def _read(self, data: bytes) -> Iterable[Event | list[bytes]]:
        """Take one read apart: events, and runs of plain chunks as the texts in them."""
        return self._lesson(data) if self._runs.untaught else self._items(data)

    def _lesson(self, data: bytes) -> Iterator[Event | list[bytes]]:
        """Give the first event alone: the rest may be a run that it teaches to recognise."""
        length = first_event(data)
        yield from self._decoder.feed(data[:length])
        yield from self._items(data[length:])

    def _items(self, data: bytes) -> list[Event | list[bytes]]:
        items: list[Event | list[bytes]] = []
        if self._takes_runs():
            data = self._decoder.reclaim(data)
            if self._decoder.between_events:
                texts, data = self._runs.split(data)
                if texts:
                    items.append(texts)
        if data:
            items += self._decoder.feed(data)
        return items
