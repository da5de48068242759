"""Puts together tool calls that may be split between events."""

from dataclasses import dataclass, field
from io import StringIO

from proxy_service.errors import EngineProtocolError
from proxy_service.streaming.sse import MAX_EVENT_BYTES
from proxy_service.translate.replies import check_tool_calls
from proxy_service.wire.engine import FunctionCall, ToolCallDelta

# About how many bytes a call takes beside its texts.
_CALL_BYTES = 1024


@dataclass(slots=True)
class _Call:
    """One call; of its first piece nothing else is kept, because it could be large."""

    call_id: str
    name: str | None
    arguments: StringIO = field(default_factory=StringIO)

    def whole(self) -> ToolCallDelta:
        function = FunctionCall(arguments=self.arguments.getvalue())
        if self.name is not None:
            function["name"] = self.name
        call = ToolCallDelta(function=function)
        if self.call_id:
            call["id"] = self.call_id
        return call


class ToolCalls:
    """The tool calls of one reply; Mistral.rs sends each whole, others send pieces of them.

    Attributes:
        held: About how many bytes they take.
    """

    __slots__ = ("_by_id", "_calls", "_latest", "held")

    def __init__(self) -> None:
        self.held = 0
        self._calls: list[_Call] = []
        # The numbers of the latest call with each index, and with each index and id.
        self._latest: dict[int | None, int] = {}
        self._by_id: dict[tuple[int | None, str], int] = {}

    def add(self, deltas: list[ToolCallDelta]) -> None:
        """Add calls, and append pieces to the latest call with the same index, and id if given.

        Raises:
            EngineProtocolError: There are too many calls, or they are longer than an event may be.
        """
        for delta in deltas:
            index, call_id = delta.get("index"), delta.get("id") or ""
            function = delta.get("function", {})
            key = (index, call_id)
            known = self._by_id.get(key) if call_id else self._latest.get(index)
            if known is None:
                known = len(self._calls)
                name = function.get("name")
                self._calls.append(_Call(call_id, name))
                check_tool_calls(len(self._calls))
                self._by_id[key] = known
                self.held += _CALL_BYTES + len(call_id) + len(name or "")
            self._latest[index] = known
            self.held += self._calls[known].arguments.write(function.get("arguments") or "")
            if self.held > MAX_EVENT_BYTES:
                raise EngineProtocolError(
                    f"the model wrote tool calls of more than {MAX_EVENT_BYTES} bytes"
                )

    @property
    def calls(self) -> list[ToolCallDelta]:
        """The calls so far, with the arguments that have arrived."""
        return [call.whole() for call in self._calls]
