"""Request bodies as typed values.

Unknown fields are ignored, as in the real server. A value of the wrong type is refused with 422,
a body that isn't JSON with 400, both as plain text.
"""

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from embedded_engine.errors import UnreadableRequestError

DEFAULT_MODEL_NAME = "default"

# Role of a message that reaches the model without its chat template. No client uses it by accident,
# and a chat request that has it is refused.
RAW_ROLE = "raw prompt"

Count = Annotated[int, Meta(ge=0)]
JsonObject = dict[str, Any]


class Message(Struct, frozen=True):
    """One message of a conversation."""

    role: str
    content: str | list[JsonObject] | None = None
    tool_calls: list[JsonObject] | None = None


class TextFormat(Struct, frozen=True, tag_field="type", tag="text"):
    """`response_format` that allows any text."""


class NamedSchema(Struct, frozen=True):
    """A JSON schema as OpenAI wraps it."""

    schema: JsonObject


class SchemaFormat(Struct, frozen=True, tag_field="type", tag="json_schema"):
    """`response_format` that makes the reply follow a schema."""

    json_schema: NamedSchema


class Grammar(Struct, frozen=True):
    """Mistral.rs's own field for what a reply must follow."""

    type: Literal["regex", "json_schema", "llguidance", "lark"]
    value: str | JsonObject


class TemplateArguments(Struct, frozen=True):
    """`chat_template_kwargs`; the real server uses only these two."""

    enable_thinking: bool | None = None
    reasoning_effort: str | None = None


class SamplingRequest(Struct, frozen=True, kw_only=True):
    """The fields that chat and completions have in common, by their names on the wire."""

    model: str = DEFAULT_MODEL_NAME
    stream: bool | None = None
    n: Annotated[int, Meta(ge=1)] = 1
    max_tokens: Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[int, float] | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: Count | None = None
    dry_sequence_breakers: list[str] | None = None
    ignore_eos: bool | None = None
    truncate_sequence: bool | None = None
    grammar: Grammar | None = None


class ChatRequest(SamplingRequest, frozen=True, kw_only=True):
    """Body of `POST /v1/chat/completions`."""

    messages: list[Message] | str
    logprobs: bool | None = None
    top_logprobs: Count | None = None
    tools: list[JsonObject] | None = None
    tool_choice: Literal["none", "auto"] | JsonObject | None = None
    response_format: TextFormat | SchemaFormat | None = None
    enable_thinking: bool | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: TemplateArguments | None = None


class CompletionRequest(SamplingRequest, frozen=True, kw_only=True):
    """Body of `POST /v1/completions`."""

    prompt: str
    echo: bool | None = None
    # Number of alternatives per token.
    logprobs: Count | None = None


_Request = TypeVar("_Request", ChatRequest, CompletionRequest)


def read_chat(body: bytes) -> ChatRequest:
    """Parse the body of a chat request.

    Raises:
        UnreadableRequestError: 400 for a body that isn't JSON, 422 for a value of the wrong type.
    """
    return _read(body, ChatRequest)


def read_completion(body: bytes) -> CompletionRequest:
    """Parse the body of a completion request; raises as `read_chat` does."""
    return _read(body, CompletionRequest)


def _read(body: bytes, kind: type[_Request]) -> _Request:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise UnreadableRequestError(
            422, f"Failed to deserialize the JSON body into the target type: {error}"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableRequestError(
            400, f"Failed to parse the request body as JSON: {error}"
        ) from error
