"""Puts together tool calls that may be split between events."""

from proxy_service.wire.engine import ToolCallDelta


class ToolCalls:
    """The tool calls of one reply; Mistral.rs sends each whole, others send pieces of them."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls: list[ToolCallDelta] = []

    def add(self, deltas: list[ToolCallDelta]) -> None:
        """Add calls, and append pieces to the call with the same index."""
        for delta in deltas:
            known = next((c for c in self.calls if c.get("index") == delta.get("index")), None)
            if known is None or delta.get("id") not in (None, "", known.get("id")):
                self.calls.append(delta)
                continue
            more = delta.get("function", {}).get("arguments", "")
            known["function"]["arguments"] = known["function"].get("arguments", "") + more
