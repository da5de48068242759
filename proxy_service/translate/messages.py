"""Translates the messages of a chat from Ollama's format to the engine's."""

import json
from base64 import b64decode
from collections import defaultdict, deque

from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject
from proxy_service.wire.ollama import Message, ToolCall

# Images of one request: far more than any model's context holds.
MAX_IMAGES = 1000

ROLES = ("system", "user", "assistant", "tool")

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
    limit_images(sum(len(message.images) for message in messages))
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
    limit_images(len(images))
    parts: list[JsonObject] = [{"type": "text", "text": text}] if text else []
    parts += [{"type": "image_url", "image_url": {"url": image_url(image)}} for image in images]
    return parts


def limit_images(number: int) -> None:
    """Raise `InvalidRequest` if a request has more than `MAX_IMAGES` images."""
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
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call_id, call in calls
        ],
    }


class _OpenCalls:
    """The calls of one message that have no result yet, as pairs of id and name.

    They are found by index: a request may have thousands of them.
    """

    def __init__(self, calls: list[tuple[str, str]]) -> None:
        self._calls = calls
        self._answered: set[int] = set()
        self._positions: defaultdict[tuple[str, str], deque[int]] = defaultdict(deque)
        for position, (call_id, name) in enumerate(calls):
            for key in {(call_id, name), (call_id, ""), ("", name), ("", "")}:
                self._positions[key].append(position)

    def take(self, call_id: str, name: str) -> tuple[str, str] | None:
        """Return the oldest open call with this id and name, each of which may be empty."""
        positions = self._positions.get((call_id, name), ())
        while positions:
            position = positions.popleft()
            if position not in self._answered:
                self._answered.add(position)
                return self._calls[position]
        return None


def _tool_result(message: Message, open_calls: _OpenCalls) -> JsonObject:
    name = message.tool_name
    call = open_calls.take(message.tool_call_id, name)
    call_id, name = call or (message.tool_call_id or name or "call", name or "tool")
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": message.content}
