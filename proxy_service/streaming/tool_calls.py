"""Puts together tool calls that may be split between events."""

from proxy_service.wire.engine import FunctionCall, ToolCallDelta


class ToolCalls:
    """The tool calls of one reply; Mistral.rs sends each whole, others send pieces of them."""

    __slots__ = ("_arguments", "_by_id", "_calls", "_latest")

    def __init__(self) -> None:
        self._calls: list[ToolCallDelta] = []
        self._arguments: list[list[str]] = []  # of each call, in pieces
        # The numbers of the latest call with each index, and with each index and id.
        self._latest: dict[int | None, int] = {}
        self._by_id: dict[tuple[int | None, str], int] = {}

    def add(self, deltas: list[ToolCallDelta]) -> None:
        """Add calls, and append pieces to the latest call with the same index, and id if given."""
        for delta in deltas:
            index, call_id = delta.get("index"), delta.get("id") or ""
            key = (index, call_id)
            known = self._by_id.get(key) if call_id else self._latest.get(index)
            if known is None:
                known = len(self._calls)
                self._calls.append(delta)
                self._arguments.append([])
                self._by_id[key] = known
            self._latest[index] = known
            self._arguments[known].append(delta.get("function", {}).get("arguments") or "")

    @property
    def calls(self) -> list[ToolCallDelta]:
        """The calls so far, with the arguments that have arrived."""
        return [
            call | {"function": call.get("function", {}) | FunctionCall(arguments="".join(pieces))}
            for call, pieces in zip(self._calls, self._arguments, strict=True)
        ]
