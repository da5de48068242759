"""Collects a translated stream into one object, for clients that asked for a whole response.

The engine is asked for a stream all the same: Mistral.rs ends a stream when its client leaves, but
finishes a whole reply that nobody waits for.
"""

from proxy_service.streaming.lines import Part
from proxy_service.streaming.plain_events import decode
from proxy_service.wire import JsonObject


class WholeResponse:
    """One response, for ``/api/chat`` or else for ``/api/generate``.

    It takes the place of `NdjsonLines`, and writes nothing. ``size`` is how many characters were
    collected; ``response`` is complete after `final`.
    """

    def __init__(self, *, model: str, chat: bool) -> None:
        self._model = model
        self._chat = chat
        self._texts: dict[Part, list[str]] = {"content": [], "thinking": []}
        self._calls: list[JsonObject] = []
        self.size = 0
        self.response: JsonObject = {}

    def text(self, part: Part, text: str, created_at: str, logprobs: list[JsonObject]) -> bytes:
        """Add text; there are no logprobs, since they are asked for in whole replies."""
        del created_at, logprobs
        self._texts[part].append(text)
        self.size += len(text)
        return b""

    def run(self, texts: list[bytes], created_at: str) -> bytes:
        """Add texts, each the content of a JSON string in ASCII."""
        return self.text("content", decode(texts), created_at, [])

    def tool_calls(self, calls: list[JsonObject], created_at: str) -> bytes:
        """Add whole tool calls."""
        del created_at
        self._calls += calls
        return b""

    def final(self, tail: JsonObject, created_at: str) -> bytes:
        """Complete the response; ``tail`` has the fields from ``done`` on."""
        content, thinking = "".join(self._texts["content"]), "".join(self._texts["thinking"])
        parts: JsonObject = {"thinking": thinking} if thinking else {}
        head: JsonObject = {"model": self._model, "created_at": created_at}
        if self._chat:
            if self._calls:
                parts["tool_calls"] = self._calls
            head["message"] = {"role": "assistant", "content": content} | parts
        else:
            head |= {"response": content} | parts
        self.response = head | tail
        return b""
