"""Request bodies of OpenAI's Responses API, limited to what the proxy translates.

Unknown fields are ignored here; what the others mean is decided by the translation.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject
from proxy_service.wire.reading import MAX_INT64

_MaxTokens = Annotated[int, Meta(ge=1, le=MAX_INT64)]


class Part(Struct, frozen=True):
    """A part of a content; its ``type`` says which of the fields count."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None


Content = str | list[Part]


class Item(Struct, frozen=True):
    """An element of ``input``: a message, a call, a result or thoughts.

    A message needs no ``type``. ``namespace`` groups tools; their names are unique only within it.
    """

    type: str | None = None
    role: str | None = None
    content: Content | None = None
    call_id: str | None = None
    name: str | None = None
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: Content | None = None
    summary: list[Part] | None = None


class Tool(Struct, frozen=True):
    """A tool, or a namespace of tools."""

    type: str
    name: str | None = None
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None
    format: JsonObject | None = None
    tools: list["Tool"] | None = None


class ToolName(Struct, frozen=True):
    """A tool in ``tool_choice``."""

    type: str
    name: str | None = None


class ToolChoice(Struct, frozen=True):
    """``tool_choice`` as an object: one tool, or those to choose from."""

    type: str
    name: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[ToolName] | None = None


class Reasoning(Struct, frozen=True):
    """How much the model thinks."""

    effort: str | None = None
    summary: str | None = None


class Format(Struct, frozen=True):
    """What the text looks like."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: JsonObject | None = None
    strict: bool | None = None


class Text(Struct, frozen=True):
    """Options of the text."""

    format: Format | None = None


class ResponsesRequest(Struct, frozen=True):
    """The body of ``POST /v1/responses``."""

    input: str | list[Item] = ""
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: _MaxTokens | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    text: Text | None = None
    truncation: Literal["auto", "disabled"] | None = None
    include: list[str] | None = None
    # What needs a server that keeps state, or isn't translated.
    background: object = None
    conversation: object = None
    previous_response_id: object = None
    prompt: object = None
    top_logprobs: object = None


def read_request(fields: JsonObject) -> ResponsesRequest:
    """Read a request's body, whose top-level keys are lower-case.

    Raises:
        InvalidRequest: A field has a value of the wrong type.
    """
    try:
        return msgspec.convert(fields, ResponsesRequest)
    except msgspec.ValidationError as error:
        raise InvalidRequest(str(error)) from error
