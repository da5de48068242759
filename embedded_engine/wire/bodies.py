"""Request bodies as typed values.

Unknown fields are ignored, as in the real server. A value of the wrong type is refused with 422,
a body that isn't JSON with 400, both as plain text.
"""

import math
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from embedded_engine.errors import UnreadableRequestError

DEFAULT_MODEL_NAME = "default"

# Role of a message that reaches the model without its chat template. No client uses it by accident,
# and a chat request that has it is refused.
RAW_ROLE = "raw prompt"

JsonObject = dict[str, Any]

# What fits into the wheel's numbers; it limits `max_tokens` to the context length itself.
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
# Far beyond what makes sense, and still a number after the engine has calculated with it.
Level = Annotated[float, Meta(ge=-1e6, le=1e6)]
# The engine divides by it.
Factor = Annotated[float, Meta(ge=1e-6, le=1e6)]
TokenId = Annotated[int, Meta(ge=0, le=2**32 - 1)]
# OpenAI's limits. Each choice is a reply to wait for; each token lists all alternatives.
Choices = Annotated[int, Meta(ge=1, le=128)]
Alternatives = Annotated[int, Meta(ge=0, le=20)]
# Each is looked for after each token.
Strings = Annotated[list[str], Meta(max_length=1000)]


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    """A part of a message's content."""

    text: str


class ImagePart(Struct, frozen=True, tag_field="type", tag="image_url"):
    """An image, which no model of this engine reads."""


class AudioPart(Struct, frozen=True, tag_field="type", tag="input_audio"):
    """Sound, which no model of this engine hears."""


Part = TextPart | ImagePart | AudioPart


class CalledFunction(Struct, frozen=True):
    """What an earlier reply called; arguments are JSON, as text or not."""

    name: str
    arguments: str | JsonObject | None = None


class ToolCall(Struct, frozen=True):
    """A tool call of an earlier reply."""

    function: CalledFunction


class Message(Struct, frozen=True):
    """One message of a conversation.

    ``function_call`` is the old form of ``tool_calls``; ``refusal`` is the text of a reply of
    OpenAI's that refuses, which has no content.
    """

    role: str
    content: str | list[Part] | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: CalledFunction | None = None
    refusal: str | None = None


class Function(Struct, frozen=True, omit_defaults=True):
    """A function that the model may call; parameters are a JSON schema."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class Tool(Struct, frozen=True, tag_field="type", tag="function"):
    """A tool that the model may call."""

    function: Function


class NamedFunction(Struct, frozen=True):
    """The name in `tool_choice`."""

    name: str


class NamedTool(Struct, frozen=True):
    """A tool by its name: as chat completions write it, or as the Responses API does."""

    type: Literal["function"] = "function"
    function: NamedFunction | None = None
    name: str | None = None

    @property
    def tool_name(self) -> str:
        """The name, empty if there is none."""
        return self.function.name if self.function else self.name or ""


class AllowedTools(Struct, frozen=True):
    """The tools that may be called, or one of which must be."""

    mode: Literal["auto", "required"]
    tools: list[NamedTool]


class ChosenTools(Struct, frozen=True):
    """`tool_choice` as an object: it names the tool to call, or the tools to choose from.

    The engine's own server takes the fields of ``allowed_tools`` beside the type, as the Responses
    API writes them.
    """

    type: Literal["function", "allowed_tools"] = "function"
    function: NamedFunction | None = None
    name: str | None = None
    allowed_tools: AllowedTools | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[NamedTool] | None = None


class TextFormat(Struct, frozen=True, tag_field="type", tag="text"):
    """`response_format` that allows any text."""


class ObjectFormat(Struct, frozen=True, tag_field="type", tag="json_object"):
    """`response_format` that makes the reply a JSON object."""


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


class StreamOptions(Struct, frozen=True):
    """`stream_options`; the usage is a chunk of its own if it is asked for."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class TemplateArguments(Struct, frozen=True):
    """`chat_template_kwargs`; the real server uses only these two."""

    enable_thinking: bool | None = None
    reasoning_effort: str | None = None


class SamplingRequest(Struct, frozen=True, kw_only=True):
    """The fields that chat and completions have in common, by their names on the wire.

    `unserved` has those that the engine can't do; here they have no type.
    """

    model: str = DEFAULT_MODEL_NAME
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Choices | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Level | None = None
    top_p: Level | None = None
    top_k: Count | None = None
    min_p: Level | None = None
    stop: str | Strings | None = None
    presence_penalty: Level | None = None
    frequency_penalty: Level | None = None
    repetition_penalty: Factor | None = None
    logit_bias: dict[TokenId, Level] | None = None
    dry_multiplier: Level | None = None
    dry_base: Level | None = None
    dry_allowed_length: Count | None = None
    dry_sequence_breakers: Strings | None = None
    ignore_eos: bool | None = None
    truncate_sequence: bool | None = None
    grammar: Grammar | None = None
    seed: object = None
    adapter: object = None

    @property
    def choices(self) -> int:
        """How many replies are asked for."""
        return self.n or 1

    @property
    def wants_usage_chunk(self) -> bool:
        """Whether a stream has to end with a chunk that has only the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class ChatRequest(SamplingRequest, frozen=True, kw_only=True):
    """Body of `POST /v1/chat/completions`."""

    messages: list[Message] | str
    logprobs: bool | None = None
    top_logprobs: Alternatives | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTools | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | ObjectFormat | SchemaFormat | None = None
    enable_thinking: bool | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: TemplateArguments | None = None
    audio: object = None
    enable_shell: object = None
    files: object = None
    function_call: object = None
    functions: object = None
    modalities: object = None
    session_id: object = None
    verbosity: object = None
    web_search_options: object = None


class CompletionRequest(SamplingRequest, frozen=True, kw_only=True):
    """Body of `POST /v1/completions`."""

    prompt: str
    echo: bool | None = None
    # Number of alternatives per token.
    logprobs: Alternatives | None = None
    best_of: object = None
    suffix: object = None
    tools: object = None


def _finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text} is too large")
    return number


# The hook, because `msgspec` itself takes some microseconds for a number such as 1e300.
_decode = msgspec.json.Decoder(float_hook=_finite_float).decode

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
        return msgspec.convert(_decode(body), kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise UnreadableRequestError(
            f"Failed to deserialize the JSON body into the target type: {error}", status=422
        ) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UnreadableRequestError(
            f"Failed to parse the request body as JSON: {error}", status=400
        ) from error
