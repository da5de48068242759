"""Translates the messages of a chat from Ollama's format to the engine's."""

import json
from base64 import b64decode

from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject
from proxy_service.wire.ollama import Message, ToolCall

# Images of one request: far more than any model's context holds.
MAX_IMAGES = 1000

ROLES = ("system", "user", "assistant", "tool")

# Writes the arguments of a call; they can't contain themselves, so the encoder needn't check.
_to_text = json.JSONEncoder(check_circular=False).encode

# How the usual image formats begin in base64. The engine detects the format from the bytes.
_IMAGE_TYPES = {"iVBOR": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}


def to_engine_messages(messages: tuple[Message, ...]) -> list[JsonObject]:
    """Translate messages, and pair each tool result with its call.

    Most of Ollama's clients send results without an id. Such a result belongs to the oldest call
    without a result that has the same tool name, or to the oldest one if it has no name.

    Raises:
        InvalidRequest: A role is unknown, there are too many images, or one is invalid or not in a
            user message.
    """
    _limit_images(sum(len(message.images) for message in messages))
    translated: list[JsonObject] = []
    open_calls = _OpenCalls([])
    for message in messages:
        if message.role not in ROLES:
            raise InvalidRequest(
                f'invalid role: "{message.role}"; expected one of {", ".join(ROLES)}'
            )
        if message.tool_calls:
            calls = [
                (_call_id(call, len(translated), i), call)
                for i, call in enumerate(message.tool_calls)
            ]
            open_calls = _OpenCalls([(call_id, call.name) for call_id, call in calls])
            translated.append(_assistant_calls(message, calls))
        elif message.role == "tool":
            translated.append(_tool_result(message, open_calls))
        else:
            translated.append(_plain(message))
    return translated


def user_content(text: str, images: tuple[str, ...]) -> str | list[JsonObject]:
    """Return a user message's content: a string, or a list of parts if it has images."""
    if not images:
        return text
    _limit_images(len(images))
    parts: list[JsonObject] = [{"type": "text", "text": text}] if text else []
    parts += [{"type": "image_url", "image_url": {"url": image_url(image)}} for image in images]
    return parts


def _limit_images(number: int) -> None:
    if number > MAX_IMAGES:
        raise InvalidRequest(f"a request can have at most {MAX_IMAGES} images, not {number}")


def image_url(image: str) -> str:
    """Return a data URL for an image in base64, which may already be one.

    Line breaks are removed, as Go's decoder ignores them.

    Raises:
        InvalidRequest: The image isn't base64.
    """
    head, _, encoded = image.rpartition(",") if image.startswith("data:") else ("", "", image)
    encoded = encoded.replace("\r", "").replace("\n", "")
    try:
        b64decode(encoded, validate=True)
    except ValueError:
        raise InvalidRequest("an image isn't valid base64") from None
    if head:
        return f"{head},{encoded}"
    kind = next((t for start, t in _IMAGE_TYPES.items() if encoded.startswith(start)), "png")
    return f"data:image/{kind};base64,{encoded}"


def _call_id(call: ToolCall, turn: int, position: int) -> str:
    return call.id or f"call_{turn}_{position}"


def _plain(message: Message) -> JsonObject:
    if message.images and message.role != "user":
        raise InvalidRequest("only messages with the role user can have images")
    translated: JsonObject = {
        "role": message.role,
        "content": user_content(message.content, message.images),
    }
    if message.thinking:
        translated["reasoning_content"] = message.thinking
    return translated


def _assistant_calls(message: Message, calls: list[tuple[str, ToolCall]]) -> JsonObject:
    return _plain(message) | {
        "tool_calls": [
            {
                "id": call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": _to_text(call.arguments)},
            }
            for call_id, call in calls
        ],
    }


class _OpenCalls:
    """The calls of one message that have no result yet, as pairs of id and name.

    Results mostly come in the order of their calls. Others are found by index, because a request
    may have thousands of calls. There is one index for each of the ways in which results can name
    their call, made when a result does it.
    """

    __slots__ = ("_answered", "_calls", "_first", "_indexes")

    def __init__(self, calls: list[tuple[str, str]]) -> None:
        self._calls = calls
        self._first = 0  # the position of the oldest open call
        self._answered: set[int] = set()  # positions after it
        # By whether the id and the name are given: for each pair of them, the positions of its
        # calls, the last one first.
        self._indexes: dict[tuple[bool, bool], dict[tuple[str, str], list[int]]] = {}

    def take(self, call_id: str, name: str) -> tuple[str, str] | None:
        """Return the oldest open call with this id and name, each of which may be empty."""
        while self._first in self._answered:
            self._answered.remove(self._first)
            self._first += 1
        if self._first == len(self._calls):
            return None
        oldest_id, oldest_name = oldest = self._calls[self._first]
        if call_id in ("", oldest_id) and name in ("", oldest_name):
            self._first += 1
            return oldest
        positions = self._index(bool(call_id), bool(name)).get((call_id, name), [])
        while positions:
            position = positions.pop()
            if position > self._first and position not in self._answered:
                self._answered.add(position)
                return self._calls[position]
        return None

    def _index(self, by_id: bool, by_name: bool) -> dict[tuple[str, str], list[int]]:  # noqa: FBT001  a key of two
        index = self._indexes.get((by_id, by_name))
        if index is None:
            index = self._indexes[by_id, by_name] = {}
            for position in range(len(self._calls) - 1, -1, -1):
                call_id, name = self._calls[position]
                key = (call_id if by_id else "", name if by_name else "")
                index.setdefault(key, []).append(position)
        return index


def _tool_result(message: Message, open_calls: _OpenCalls) -> JsonObject:
    name = message.tool_name
    call = open_calls.take(message.tool_call_id, name)
    call_id, name = call or (message.tool_call_id or name or "call", name or "tool")
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": message.content}
