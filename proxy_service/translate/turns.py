"""Builds the messages of a chat completion from the items of another API.

Many chat templates take only a system message at the beginning, and then turns of the user and the
assistant that alternate. Anthropic's and OpenAI's newer API allow more. So:

- instructions before the first turn become one system message; later ones are text of the user;
- what one side says in several items becomes one message;
- images in the result of a tool move into the message of the user that follows it, because the
  engine takes them nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from proxy_service.wire import JsonObject

# Between texts that were separate items.
_SEPARATOR = "\n"


@dataclass(slots=True)
class _Turn:
    """What one side says: a list of parts, and for the assistant thoughts and tool calls."""

    role: str
    parts: list[JsonObject] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    calls: list[JsonObject] = field(default_factory=list)
    call_id: str = ""
    name: str = ""

    def message(self) -> JsonObject:
        """Return the turn as the engine takes it."""
        message: JsonObject = {"role": self.role, "content": _content(self.parts)}
        if self.thoughts:
            message["reasoning_content"] = _SEPARATOR.join(self.thoughts)
        if self.calls:
            message["tool_calls"] = self.calls
        if self.role == "tool":
            message["tool_call_id"] = self.call_id
        if self.name:
            message["name"] = self.name
        return message


class Turns:
    """The turns of a conversation so far.

    Attributes:
        images: How many images it has.
    """

    def __init__(self) -> None:
        self.images = 0
        self._turns: list[_Turn] = []
        self._moved: list[JsonObject] = []  # images of results, for the next turn of the user
        self._names: dict[str, str] = {}

    def instruct(self, text: str) -> None:
        """Add instructions."""
        if not text:
            return
        if not self._turns or self._turns[-1].role == "system":
            self._turn("system").parts.append(text_part(text))
        else:
            self.user([text_part(text)])

    def user(self, parts: Sequence[JsonObject]) -> None:
        """Add text and images of the user, as parts of a chat completion's content."""
        self.images += len(images_of(parts))
        if parts:
            self._turn("user").parts += parts

    def assistant(self, text: str) -> None:
        """Add text of the assistant."""
        turn = self._turn("assistant")
        if text:
            turn.parts.append(text_part(text))

    def thought(self, text: str) -> None:
        """Add what the assistant thought."""
        if text:
            self._turn("assistant").thoughts.append(text)

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """Add a tool call of the assistant; ``arguments`` is JSON in a string."""
        self._names[call_id] = name
        function = {"name": name, "arguments": arguments}
        self._turn("assistant").calls.append(
            {"id": call_id, "type": "function", "function": function}
        )

    def result(self, call_id: str, text: str, images: Sequence[JsonObject] = ()) -> None:
        """Add the result of a tool call.

        Only the first result of a call has the call's name: a long name could otherwise be repeated
        for each of thousands of short results.
        """
        parts = [text_part(text)] if text else []
        turn = _Turn("tool", parts, call_id=call_id, name=self._names.pop(call_id, ""))
        self._turns.append(turn)
        self._moved += images
        self.images += len(images)

    def messages(self) -> list[JsonObject]:
        """Return all messages."""
        self._add_images()
        return [turn.message() for turn in self._turns]

    def _turn(self, role: str) -> _Turn:
        """Return the last turn if it is of this role, or else a new one."""
        self._add_images()
        if not self._turns or self._turns[-1].role != role:
            self._turns.append(_Turn(role))
        return self._turns[-1]

    def _add_images(self) -> None:
        images, self._moved = self._moved, []
        if images:
            self._turn("user").parts += images


def text_part(text: str) -> JsonObject:
    """Return text as a part of a content."""
    return {"type": "text", "text": text}


def image_part(url: str) -> JsonObject:
    """Return an image as a part of a content."""
    return {"type": "image_url", "image_url": {"url": url}}


def text_of(parts: Sequence[JsonObject]) -> str:
    """Return the text of those parts that are text."""
    return _SEPARATOR.join(str(part["text"]) for part in parts if part["type"] == "text")


def images_of(parts: Sequence[JsonObject]) -> list[JsonObject]:
    """Return those parts that are images."""
    return [part for part in parts if part["type"] != "text"]


def _content(parts: list[JsonObject]) -> str | list[JsonObject]:
    """Return parts as one string if all are text; not every template takes parts."""
    return parts if images_of(parts) else text_of(parts)
