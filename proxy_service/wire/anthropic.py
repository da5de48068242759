"""Anthropic's request bodies, limited to what the proxy translates.

Unknown fields and kinds of content are ignored here; what they mean is decided by the translation.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject
from proxy_service.wire.reading import MAX_INT64

_MaxTokens = Annotated[int, Meta(ge=1, le=MAX_INT64)]
_Count = Annotated[int, Meta(ge=0, le=MAX_INT64)]


class Source(Struct, frozen=True):
    """Where the data of an image or a document is."""

    type: str = ""
    media_type: str | None = None
    data: str | None = None
    url: str | None = None


class Block(Struct, frozen=True):
    """A part of a content; its ``type`` says which of the fields count."""

    type: str
    text: str | None = None
    thinking: str | None = None
    source: Source | None = None
    title: str | None = None
    id: str | None = None
    name: str | None = None
    input: object = None
    tool_use_id: str | None = None
    content: object = None
    is_error: bool | None = None


Content = str | list[Block]


class Message(Struct, frozen=True):
    """One turn; instructions in the middle of a conversation have the role ``system``."""

    role: Literal["user", "assistant", "system"]
    content: Content


class Tool(Struct, frozen=True):
    """A tool; those that Anthropic defines have a ``type`` with a date, and no schema."""

    name: str = ""
    type: str | None = None
    description: str | None = None
    input_schema: JsonObject | None = None
    strict: bool | None = None


class ToolChoice(Struct, frozen=True):
    """Whether a tool has to be called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, frozen=True):
    """Whether the model thinks first."""

    type: Literal["enabled", "disabled", "adaptive"]


class Format(Struct, frozen=True):
    """The schema that a reply has to follow."""

    type: Literal["json_schema"]
    schema: JsonObject


class OutputConfig(Struct, frozen=True):
    """How much effort the model makes, and what its reply looks like."""

    effort: str | None = None
    format: Format | None = None


class MessagesRequest(Struct, frozen=True):
    """The body of ``POST /v1/messages``."""

    max_tokens: _MaxTokens
    messages: list[Message]
    system: Content | None = None
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: _Count | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None  # the former place of the schema
    container: object = None
    mcp_servers: object = None


class _Blocks(Struct, frozen=True):
    content: Content | None = None


def read_messages(fields: JsonObject) -> MessagesRequest:
    """Read a request's body, whose top-level keys are lower-case.

    Raises:
        InvalidRequest: A field is missing or has a value of the wrong type.
    """
    try:
        return msgspec.convert(fields, MessagesRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from error


def read_result(content: object) -> Content | None:
    """Read what a tool returned.

    Raises:
        InvalidRequest: It is neither text nor a list of blocks.
    """
    try:
        return msgspec.convert({"content": content}, _Blocks).content
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the content of a tool_result: {error}") from error
