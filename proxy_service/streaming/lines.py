"""Writes Ollama's NDJSON: one compact object in ASCII on each line.

It is ASCII because some clients split lines as Python's `str.splitlines` does, at U+2028 too.
"""

from json.encoder import encode_basestring_ascii as quoted
from typing import Literal

from proxy_service.wire import JsonObject
from proxy_service.wire.writing import to_text

Part = Literal["content", "thinking"]


def to_line(value: JsonObject) -> bytes:
    """Return one object as a line."""
    return f"{to_text(value)}\n".encode("ascii")


class NdjsonLines:
    """Writes the lines of one response, for ``/api/chat`` or else for ``/api/generate``."""

    __slots__ = ("_close", "_head", "_open")

    def __init__(self, *, model: str, chat: bool) -> None:
        self._head = f'{{"model":{quoted(model)},"created_at":"'
        self._open: dict[Part, str] = (
            {
                "content": '","message":{"role":"assistant","content":',
                "thinking": '","message":{"role":"assistant","content":"","thinking":',
            }
            if chat
            else {"content": '","response":', "thinking": '","response":"","thinking":'}
        )
        self._close = "}" if chat else ""

    def text(self, part: Part, text: str, created_at: str, logprobs: list[JsonObject]) -> bytes:
        """Return a line with text; this runs for every event that isn't part of a run."""
        extra = f',"logprobs":{to_text(logprobs)}' if logprobs else ""
        return (
            f"{self._head}{created_at}{self._open[part]}{quoted(text)}{self._close}"
            f'{extra},"done":false}}\n'
        ).encode("ascii")

    def run(self, texts: list[bytes], created_at: str) -> bytes:
        """Return a line for each text, which is the content of a JSON string in ASCII."""
        head = f'{self._head}{created_at}{self._open["content"]}"'
        tail = f'"{self._close},"done":false}}\n'
        between = (tail + head).encode("ascii")
        return between[len(tail) :] + between.join(texts) + between[: len(tail)]

    def tool_calls(self, calls: list[JsonObject], created_at: str) -> bytes:
        """Return a line with whole tool calls."""
        written = to_text(calls)
        return (
            f'{self._head}{created_at}","message":{{"role":"assistant","content":"",'
            f'"tool_calls":{written}}},"done":false}}\n'
        ).encode("ascii")

    def final(self, tail: JsonObject, created_at: str) -> bytes:
        """Return the last line; ``tail`` has the fields from ``done`` on."""
        written = to_text(tail)[1:]
        opening = self._open["content"]
        return f'{self._head}{created_at}{opening}""{self._close},{written}\n'.encode("ascii")
