"""Turns of a chat, from Ollama's shape to the engine's."""

import json
from base64 import b64decode
from collections import deque

from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject
from proxy_service.wire.ollama import Message, ToolCall

ROLES = ("system", "user", "assistant", "tool")

# How the formats that engines accept begin in base64; the engine looks at the bytes itself.
_IMAGE_TYPES = {"iVBOR": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}


def to_engine_messages(messages: tuple[Message, ...]) -> list[JsonObject]:
    """Translate a conversation, pairing tool results with the calls they answer.

    Ollama's clients mostly send results without an id: such a result belongs to the open call
    of the same tool name, else to the oldest open one.
    """
    translated: list[JsonObject] = []
    open_calls: deque[tuple[str, str]] = deque()
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
            open_calls = deque((call_id, call.name) for call_id, call in calls)
            translated.append(_assistant_calls(message, calls))
        elif message.role == "tool":
            translated.append(_tool_result(message, open_calls))
        else:
            translated.append(_plain(message))
    return translated


def user_content(text: str, images: tuple[str, ...]) -> str | list[JsonObject]:
    """Write a user turn: a string, or parts when images go with it."""
    if not images:
        return text
    parts: list[JsonObject] = [{"type": "text", "text": text}] if text else []
    parts += [{"type": "image_url", "image_url": {"url": image_url(image)}} for image in images]
    return parts


def image_url(image: str) -> str:
    """Write base64 as a data URL, which it may be already; line breaks in it go, as in Go.

    Raises:
        InvalidRequest: It is neither.
    """
    head, _, encoded = image.rpartition(",") if image.startswith("data:") else ("", "", image)
    encoded = encoded.replace("\r", "").replace("\n", "")
    try:
        b64decode(encoded, validate=True)
    except ValueError:
        raise InvalidRequest("an image is not valid base64") from None
    if head:
        return f"{head},{encoded}"
    kind = next((t for start, t in _IMAGE_TYPES.items() if encoded.startswith(start)), "png")
    return f"data:image/{kind};base64,{encoded}"


def _call_id(call: ToolCall, turn: int, position: int) -> str:
    return call.id or f"call_{turn}_{position}"


def _plain(message: Message) -> JsonObject:
    if message.images and message.role != "user":
        raise InvalidRequest("images are only supported in messages of the role user")
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


def _tool_result(message: Message, open_calls: deque[tuple[str, str]]) -> JsonObject:
    call_id, name = _answered_call(message, open_calls)
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": message.content}


def _answered_call(message: Message, open_calls: deque[tuple[str, str]]) -> tuple[str, str]:
    fitting = (
        call
        for call in open_calls
        if (message.tool_call_id in ("", call[0])) and (message.tool_name in ("", call[1]))
    )
    call = next(fitting, None)
    if call is None:
        return message.tool_call_id or message.tool_name or "call", message.tool_name or "tool"
    open_calls.remove(call)
    return call
