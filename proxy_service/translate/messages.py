"""Translates the messages of a chat from Ollama's format to the engine's.

Ollama checks no roles, and accepts images in any message. The chat templates of the engine's models
know system, user, assistant and tool; they drop a message in another role, or refuse it. And the
engine accepts images in messages of the user only. So each message becomes one that every template
takes, and nothing of it is lost:

- the model's thoughts, sent as a message of their own, belong to the assistant's next turn;
- images that aren't in a user's turn move into the next one: the user's own, or one of images
  alone, which comes after the tools' results and before the assistant's next turn;
- turns of one role in a row become one, as in Ollama, because many templates want them to
  alternate.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import cast

from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject
from proxy_service.wire.ollama import Message, ToolCall

# Images of one request: far more than any model's context holds.
MAX_IMAGES = 1000

# The roles that mean one of the four. OpenAI's newer name of the system is the developer, its older
# name of a tool a function; Llama's templates call tools ipython. A message without a role is the
# user's.
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
    "ipython": "tool",
}
_THINKING = "thinking"
# Ollama's templates for Granite read settings, such as "length short", from messages whose role
# begins with this. In the templates of the engine, settings are instructions of the system.
_CONTROL = "control"
# Between the texts of turns that become one; Ollama's own.
_BETWEEN_TURNS = "\n\n"

# Writes the arguments of a call; they can't contain themselves, so the encoder needn't check.
_to_text = json.JSONEncoder(check_circular=False).encode

# How the usual image formats begin in base64. The engine detects the format from the bytes.
_IMAGE_TYPES = {"iVBOR": "png", "/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}


def to_engine_messages(messages: tuple[Message, ...]) -> list[JsonObject]:
    """Translate messages, and pair each tool result with its call.

    Most of Ollama's clients send results without an id. Such a result belongs to the oldest call
    without a result that has the same tool name, or to the oldest one if it has no name.

    Raises:
        InvalidRequest: There are too many images.
    """
    limit_images(sum(len(message.images) for message in messages))
    conversation = _Conversation()
    for message in messages:
        conversation.add(message)
    return conversation.finish()


def user_content(text: str, images: Sequence[str]) -> str | list[JsonObject]:
    """Return a user message's content: a string, or a list of parts if it has images.

    One of the parts is text, even if it is empty: Mistral.rs 0.8.1 refuses a single image without.

    Raises:
        InvalidRequest: There are too many images.
    """
    if not images:
        return text
    limit_images(len(images))
    parts: list[JsonObject] = [{"type": "text", "text": text}]
    parts += [{"type": "image_url", "image_url": {"url": image_url(image)}} for image in images]
    return parts


def limit_images(number: int) -> None:
    """Raise `InvalidRequest` if a request has more than `MAX_IMAGES` images."""
    if number > MAX_IMAGES:
        raise InvalidRequest(f"a request can have at most {MAX_IMAGES} images, not {number}")


def image_url(image: str) -> str:
    """Return a data URL for an image in base64, which may already be one."""
    if image.startswith("data:"):
        return image
    kind = next((t for start, t in _IMAGE_TYPES.items() if image.startswith(start)), "png")
    return f"data:image/{kind};base64,{image}"


class _Conversation:
    """The messages so far, translated."""

    def __init__(self) -> None:
        self._messages: list[JsonObject] = []
        # What the turns consist of, by position; of texts, only where there are several.
        self._texts: defaultdict[int, list[str]] = defaultdict(list)
        self._thoughts: defaultdict[int, list[str]] = defaultdict(list)
        self._images: defaultdict[int, list[str]] = defaultdict(list)
        self._open_calls = _OpenCalls([])
        # What belongs to a later turn.
        self._next_thoughts: list[str] = []
        self._next_images: list[str] = []

    def add(self, message: Message) -> None:
        """Translate one message."""
        role, text = _role_and_text(message)
        if role == _THINKING:
            self._next_thoughts += filter(None, (text, message.thinking))
        elif role == "tool":
            self._messages.append(_tool_result(message, self._open_calls))
        else:
            self._add_to_turn(role, text, message)
        if message.images:
            self._next_images += message.images
        if role == "user" and self._next_images:
            self._place_images()

    def finish(self) -> list[JsonObject]:
        """Return all messages; call it after the last one."""
        self._place_thoughts()
        self._place_images()
        for position, texts in self._texts.items():
            self._messages[position]["content"] = _BETWEEN_TURNS.join(filter(None, texts))
        for position, images in self._images.items():
            message = self._messages[position]
            message["content"] = user_content(cast("str", message["content"]), images)
        for position, thoughts in self._thoughts.items():
            self._messages[position]["reasoning_content"] = _BETWEEN_TURNS.join(thoughts)
        return self._messages

    def _add_to_turn(self, role: str, text: str, message: Message) -> None:
        if role == "user":
            self._place_thoughts()
        elif role == "assistant":
            self._place_images()
        self._add_text(role, text)
        if role == "assistant":
            self._place_thoughts()
        if message.thinking:
            self._thoughts[len(self._messages) - 1].append(message.thinking)
        if message.tool_calls:
            self._add_calls(message.tool_calls)

    def _add_text(self, role: str, text: str = "") -> None:
        """Add text to the last turn if it is of this role, else in a new turn."""
        last = self._messages[-1] if self._messages else None
        if last is None or last["role"] != role or "tool_calls" in last:
            self._messages.append({"role": role, "content": text})
            return
        texts = self._texts[len(self._messages) - 1]
        if not texts:
            texts.append(cast("str", last["content"]))
        texts.append(text)

    def _add_calls(self, calls: tuple[ToolCall, ...]) -> None:
        """Add tool calls to the last turn; they are the ones that the next results answer."""
        turn = len(self._messages) - 1
        named = [(call.id or f"call_{turn}_{i}", call) for i, call in enumerate(calls)]
        self._open_calls = _OpenCalls([(call_id, call.name) for call_id, call in named])
        self._messages[turn]["tool_calls"] = [
            {
                "id": call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": _to_text(call.arguments)},
            }
            for call_id, call in named
        ]

    def _place_thoughts(self) -> None:
        """Add waiting thoughts to the assistant's last turn, or as a turn of their own."""
        if self._next_thoughts:
            self._add_text("assistant")
            self._thoughts[len(self._messages) - 1] += self._next_thoughts
            self._next_thoughts.clear()

    def _place_images(self) -> None:
        """Add waiting images to the user's last turn, or as a turn of their own."""
        if self._next_images:
            self._add_text("user")
            self._images[len(self._messages) - 1] += self._next_images
            self._next_images.clear()


def _role_and_text(message: Message) -> tuple[str, str]:
    """Return the role, one of the engine's four or `_THINKING`, and the text of a message.

    A message in a role that no template knows is the user's, after the name of its role. Ollama's
    templates for Granite know documents, whose role is "document" and an identifier.
    """
    role = "assistant" if message.tool_calls else _ROLES.get(message.role)
    if role is not None:
        return role, message.content
    if message.role == _THINKING:
        return _THINKING, message.content
    if message.role.startswith(_CONTROL):
        return "system", message.content
    return "user", f"{message.role}:\n{message.content}"


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
