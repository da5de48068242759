"""What every stream of the engine has in common, whoever it goes to."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from proxy_service.streaming.runs import PlainRuns, first_event
from proxy_service.streaming.sse import Event, SSEDecoder

if TYPE_CHECKING:
    from proxy_service.wire.openai import Usage

DONE = b"[DONE]"


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

    def _read(self, data: bytes) -> Iterator[Event | list[bytes]]:
        """Take one read apart: events, and runs of plain chunks as the texts in them."""
        if self._runs.untaught:
            # The rest of this read may be a run that its first event teaches to recognise.
            length = first_event(data)
            yield from self._decoder.feed(data[:length])
            data = data[length:]
        if self._takes_runs():
            data = self._decoder.reclaim(data)
            if self._decoder.between_events:
                texts, data = self._runs.split(data)
                if texts:
                    yield texts
        if data:
            yield from self._decoder.feed(data)
