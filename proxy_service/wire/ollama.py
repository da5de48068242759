"""Ollama's request bodies, limited to what the proxy reads."""

import string
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import msgspec

from proxy_service.durations import parse_duration
from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject
from proxy_service.wire.reading import Fields, fold_keys, json_type

MAX_TOP_LOGPROBS = 20
# Items of a request, more than fit into any model's context. Each becomes several times its size,
# although it may have only two bytes.
MAX_MESSAGES = 10_000
MAX_TOOL_CALLS = 5000  # of all messages together
MAX_TOOLS = 5000
# The digits of base64 (RFC 4648), and how many ``=`` may follow them.
_BASE64 = (string.ascii_letters + string.digits + "+/").encode()
_MAX_PADDING = 2
_STEP_CHARACTERS = 1024 * 1024
THINK_LEVELS = ("high", "medium", "low", "max")


@dataclass(frozen=True, slots=True)
class Common:
    """The fields that chat and generate requests share."""

    model: str
    stream: bool
    format: str | JsonObject | None
    options: JsonObject
    think: bool | str | None
    keep_alive_seconds: float | None
    logprobs: bool
    top_logprobs: int
    truncate: bool


class ToolCall(msgspec.Struct, frozen=True):
    """A tool call by the model; the arguments are an object, unlike OpenAI's string."""

    id: str
    name: str
    arguments: JsonObject


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message of a chat, whose role can be any text; images are valid base64 or data URLs."""

    role: str
    content: str
    thinking: str = ""
    images: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


class _TextMessage(msgspec.Struct):
    """A message that has only texts, and fields that don't matter; `Fields` takes twice as long."""

    role: str | None = None
    content: str | None = None
    thinking: str | None = None
    images: list[None] | None = None
    tool_calls: list[None] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Messages(msgspec.Struct):
    """A wrapper whose type `msgspec` analyses once; it would analyse a tuple's on every call."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """The body of ``POST /api/chat``; tools with a function have the type "function"."""

    common: Common
    messages: tuple[Message, ...]
    tools: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """The body of ``POST /api/generate``."""

    common: Common
    prompt: str
    suffix: str
    system: str
    template: str
    context: tuple[int, ...]
    raw: bool
    images: tuple[str, ...]


def parse_chat(body: bytes) -> ChatRequest:
    """Parse a chat request.

    Raises:
        InvalidRequest: The body is invalid; the text is Ollama's own.
    """
    fields = Fields.parse(body, "ChatRequest")
    common = _common(fields)
    messages = _messages(_limited(fields, "messages", MAX_MESSAGES))
    tools = tuple(map(_tool, _limited(fields, "tools", MAX_TOOLS)))
    return ChatRequest(common, messages, tools)


def parse_generate(body: bytes) -> GenerateRequest:
    """Parse a generate request.

    Raises:
        InvalidRequest: The body is invalid; the text is Ollama's own.
    """
    fields = Fields.parse(body, "GenerateRequest")
    request = GenerateRequest(
        common=_common(fields),
        prompt=fields.text("prompt"),
        suffix=fields.text("suffix"),
        system=fields.text("system"),
        template=fields.text("template"),
        context=_integers(fields),
        raw=fields.flag("raw", default=False),
        images=_images(fields, "GenerateRequest"),
    )
    if request.raw and (request.system or request.template or request.context):
        raise InvalidRequest("raw mode does not support template, system, or context")
    return request


def _common(fields: Fields) -> Common:
    top_logprobs = fields.integer("top_logprobs")
    if not 0 <= top_logprobs <= MAX_TOP_LOGPROBS:
        raise InvalidRequest(f"top_logprobs must be between 0 and {MAX_TOP_LOGPROBS}")
    return Common(
        model=fields.text("model"),
        stream=fields.flag("stream", default=True),
        format=_format(fields.raw("format")),
        options=fields.object("options"),
        think=_think(fields.raw("think")),
        keep_alive_seconds=parse_keep_alive(fields.raw("keep_alive")),
        logprobs=fields.flag("logprobs", default=False),
        top_logprobs=top_logprobs,
        truncate=fields.flag("truncate", default=True),
    )


def _format(value: object) -> str | JsonObject | None:
    if value in (None, ""):
        return None
    if value == "json":
        return "json"
    if isinstance(value, dict):
        return cast("JsonObject", value)
    shown = f'"{value}"' if isinstance(value, str) else json_type(value)
    raise InvalidRequest(
        f'invalid format: {shown}; expected "json" or a valid JSON Schema object', status=500
    )


def _think(value: object) -> bool | str | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value in THINK_LEVELS:
        return value
    raise InvalidRequest(
        f'invalid think value: "{value}" (must be "high", "medium", "low", "max", true, or false)'
    )


def parse_keep_alive(value: object) -> float | None:
    """Parse ``keep_alive``: a number of seconds, or a Go duration such as ``"1h30m"``.

    Returns:
        Seconds; infinity for a negative value, None if absent.

    Raises:
        InvalidRequest: It isn't a duration; the text is that of Go's ``time.ParseDuration``.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidRequest(f"Unsupported type: '{json_type(value)}'")
    try:
        seconds = parse_duration(value) if isinstance(value, str) else float(value)
    except OverflowError:
        text = "json: cannot unmarshal number into Go value of type float64"
        raise InvalidRequest(text) from None
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    return float("inf") if seconds < 0 else seconds


def _messages(items: list[object]) -> tuple[Message, ...]:
    """Read a history, which may be long: all messages together if each has the usual form."""
    with suppress(msgspec.ValidationError):
        messages = msgspec.convert({"messages": items}, _Messages).messages
        if all(map(_is_usual, messages)):
            return messages
    return _one_by_one(items)


def _one_by_one(items: list[object]) -> tuple[Message, ...]:
    messages: list[Message] = []
    calls = 0
    for item in items:
        message = _message(item)
        messages.append(message)
        calls += len(message.tool_calls)
        if calls > MAX_TOOL_CALLS:
            raise _too_many("tool_calls", MAX_TOOL_CALLS)
    return tuple(messages)


def _is_usual(message: Message) -> bool:
    """Return whether `_message` has nothing to do: tool calls are nested differently here."""
    return message.role.islower() and not message.tool_calls and not message.images


def _message(item: object) -> Message:
    values = fold_keys(_object(item, "ChatRequest.messages"))
    if not (values.get("tool_calls") or values.get("images") or values.get("name")):
        with suppress(msgspec.ValidationError):
            return _text_message(msgspec.convert(values, _TextMessage))
    fields = Fields(values, "Message")
    return Message(
        role=fields.text("role").lower(),
        content=fields.text("content"),
        thinking=fields.text("thinking"),
        images=_images(fields, "Message"),
        tool_calls=tuple(map(_tool_call, _limited(fields, "tool_calls", MAX_TOOL_CALLS))),
        tool_name=fields.text("tool_name") or _name(fields),
        tool_call_id=fields.text("tool_call_id"),
    )


def _name(fields: Fields) -> str:
    """Return OpenAI's field for a tool's name, which older examples of Ollama's clients use."""
    name = fields.raw("name")
    return name if isinstance(name, str) else ""


def _tool(item: object) -> JsonObject:
    """Read a tool. Ollama doesn't look at its type; the engine accepts only "function"."""
    tool = fold_keys(_object(item, "ChatRequest.tools"))
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    return tool | {"type": "function", "function": fold_keys(function)}


def _text_message(text: _TextMessage) -> Message:
    return Message(
        role=(text.role or "").lower(),
        content=text.content or "",
        thinking=text.thinking or "",
        tool_name=text.tool_name or "",
        tool_call_id=text.tool_call_id or "",
    )


def _tool_call(item: object) -> ToolCall:
    fields = Fields(fold_keys(_object(item, "Message.tool_calls")), "ToolCall")
    function = Fields(fold_keys(fields.object("function")), "ToolCallFunction")
    return ToolCall(fields.text("id"), function.text("name"), function.object("arguments"))


def _images(fields: Fields, struct: str) -> tuple[str, ...]:
    field = f"{struct}.images"
    return tuple([check_image(_string(item, field)) for item in fields.list("images")])


def check_image(image: str) -> str:
    """Check an image in base64, with or without the beginning of a data URL.

    Line breaks are removed, as Go's decoder ignores them.
    """
    head, comma, encoded = image.rpartition(",") if image.startswith("data:") else ("", "", image)
    if not _is_base64(encoded):
        encoded = encoded.replace("\r", "").replace("\n", "")
        if not _is_base64(encoded):
            raise InvalidRequest("an image isn't valid base64")
    return head + comma + encoded


def _is_base64(text: str) -> bool:
    """Return whether a text is valid base64.

    This takes a quarter of the time of decoding it, in steps between which another thread can run.
    """
    if len(text) % 4 or not text.isascii():
        return False
    end = len(text) - text.count("=", -_MAX_PADDING)
    return not any(
        text[start : min(start + _STEP_CHARACTERS, end)].encode("ascii").translate(None, _BASE64)
        for start in range(0, end, _STEP_CHARACTERS)
    )


def _integers(fields: Fields) -> tuple[int, ...]:
    values = fields.list("context")
    if not all(isinstance(value, int) for value in values):
        raise InvalidRequest(
            "json: cannot unmarshal array into Go struct field GenerateRequest.context of type int"
        )
    return cast("tuple[int, ...]", tuple(values))


def _limited(fields: Fields, name: str, most: int) -> list[object]:
    """Return an array that may have at most ``most`` items."""
    items = fields.list(name)
    if len(items) > most:
        raise _too_many(name, most)
    return items


def _too_many(name: str, most: int) -> InvalidRequest:
    return InvalidRequest(f"a request can have at most {most} {name}")


def _string(item: object, field: str) -> str:
    if not isinstance(item, str):
        raise InvalidRequest(
            f"json: cannot unmarshal {json_type(item)} into Go struct field {field} of type string"
        )
    return item


def _object(item: object, field: str) -> JsonObject:
    if not isinstance(item, dict):
        raise InvalidRequest(
            f"json: cannot unmarshal {json_type(item)} into Go struct field {field} of type object"
        )
    return cast("JsonObject", item)
