"""Request bodies, and their translation into the arguments of the wheel's request.

Unknown fields are ignored, as the real server does. A value that doesn't fit its type is
refused with 422, a body that is no JSON with 400, both as plain text.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from embedded_engine.errors import RefusedRequestError, UnreadableRequestError
from embedded_engine.templates import RAW_ROLE

DEFAULT_MODEL_NAME = "default"

Count = Annotated[int, Meta(ge=0)]
JsonObject = dict[str, Any]
Arguments = dict[str, Any]
"""Keyword arguments of `mistralrs.ChatCompletionRequest`, all but `model` and `stream`."""


class Message(Struct, frozen=True):
    """One turn of a conversation."""

    role: str
    content: str | list[JsonObject] | None = None
    tool_calls: list[JsonObject] | None = None


class TextFormat(Struct, frozen=True, tag_field="type", tag="text"):
    """`response_format` that asks for nothing special."""


class NamedSchema(Struct, frozen=True):
    """A JSON schema as OpenAI wraps it."""

    schema: JsonObject


class SchemaFormat(Struct, frozen=True, tag_field="type", tag="json_schema"):
    """`response_format` that binds the reply to a schema."""

    json_schema: NamedSchema


class Grammar(Struct, frozen=True):
    """Mistral.rs's own way to bind a reply."""

    type: Literal["regex", "json_schema", "llguidance", "lark"]
    value: str | JsonObject


class TemplateArguments(Struct, frozen=True):
    """`chat_template_kwargs`: the server honours only these two."""

    enable_thinking: bool | None = None
    reasoning_effort: str | None = None


class _Sampling(Struct, frozen=True, kw_only=True):
    """What chat and completions have in common; names are those of the wire."""

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


class ChatRequest(_Sampling, frozen=True, kw_only=True):
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


class CompletionRequest(_Sampling, frozen=True, kw_only=True):
    """Body of `POST /v1/completions`."""

    prompt: str
    echo: bool | None = None
    logprobs: Count | None = None
    """Number of alternatives per token."""


_Request = TypeVar("_Request", ChatRequest, CompletionRequest)

# Fields that the wheel knows by the name that they have on the wire.
_SAME_NAME = (
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_sequence_breakers",
    "ignore_eos",
    "truncate_sequence",
)


def read_chat(body: bytes) -> ChatRequest:
    """Parse the body of a chat request.

    Raises:
        UnreadableRequestError: 400 no JSON, 422 a value of the wrong type.
    """
    return _read(body, ChatRequest)


def read_completion(body: bytes) -> CompletionRequest:
    """Parse the body of a completion request; raises as `read_chat` does."""
    return _read(body, CompletionRequest)


def chat_arguments(
    request: ChatRequest, temperature: float | None = None, stop: Sequence[str] = ()
) -> Arguments:
    """Translate a chat request for the wheel.

    Args:
        request: What the client sent.
        temperature: Used when the request names none.
        stop: Strings that end every chat reply of this model.

    Raises:
        RefusedRequestError: 500, the request contradicts itself.
    """
    tools, choice = _tools(request.tools, request.tool_choice)
    arguments = {
        "messages": _messages(request.messages),
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        "tool_schemas": tools,
        "tool_choice": choice,
        **_thinking(request),
        **_grammar(request.grammar, request.response_format),
    }
    return _sampling(request, temperature, stop) | _present(arguments)


def completion_arguments(request: CompletionRequest, temperature: float | None = None) -> Arguments:
    """Translate a completion request: a chat request whose only message is the raw prompt."""
    arguments = {
        "messages": [{"role": RAW_ROLE, "content": request.prompt}],
        "logprobs": None if request.logprobs is None else True,
        "top_logprobs": request.logprobs,
        **_grammar(request.grammar, None),
    }
    return _sampling(request, temperature, ()) | _present(arguments)


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


def _sampling(
    request: _Sampling, temperature: float | None, model_stop: Sequence[str]
) -> Arguments:
    stop = [request.stop] if isinstance(request.stop, str) else (request.stop or [])
    arguments = {name: getattr(request, name) for name in _SAME_NAME}
    if request.temperature is None:
        arguments["temperature"] = temperature
    return _present(arguments | {"stop_seqs": [*stop, *model_stop] or None})


def _present(arguments: Arguments) -> Arguments:
    """Leave out what was not given, so that the wheel's own defaults hold."""
    return {name: value for name, value in arguments.items() if value is not None}


def _messages(messages: list[Message] | str) -> list[JsonObject]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if any(message.role == RAW_ROLE for message in messages):
        raise RefusedRequestError(500, f"The role '{RAW_ROLE}' is reserved; use /v1/completions.")
    return [{"role": message.role, "content": _content(message)} for message in messages]


def _content(message: Message) -> str | list[JsonObject]:
    """Content with the tool calls of an earlier turn written out.

    Of a message, the wheel takes role and content only; without this the model would see a
    tool's result but not what it had asked.
    """
    content = message.content or ""
    if not message.tool_calls:
        return content
    calls = "\n".join(_call_text(call) for call in message.tool_calls)
    if isinstance(content, str):
        return f"{content}\n{calls}" if content else calls
    return [*content, {"type": "text", "text": calls}]


def _call_text(call: JsonObject) -> str:
    """One tool call in the form that the engine recognises in a reply."""
    function = call.get("function") or {}
    arguments = function.get("arguments") or {}
    if isinstance(arguments, str):
        # What is no JSON the model wrote so, and may see so.
        with suppress(ValueError):
            arguments = json.loads(arguments)
    return json.dumps({"name": function.get("name"), "arguments": arguments}, ensure_ascii=False)


def _tools(
    tools: list[JsonObject] | None, choice: str | JsonObject | None
) -> tuple[list[str] | None, str | None]:
    """Tool schemas as JSON texts, and whether they may be called (`auto` or `none`).

    The wheel can't force a call: of a named tool it can only be told to the exclusion of others.
    """
    if not tools:
        return None, None
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        tools = [tool for tool in tools if (tool.get("function") or {}).get("name") == name]
        if not tools:
            raise RefusedRequestError(
                500, f"tool_choice names '{name}', which is not among the tools."
            )
        choice = "auto"
    return [json.dumps(tool) for tool in tools], choice or "auto"


def _thinking(request: ChatRequest) -> Arguments:
    """The two controls, given directly or for the template; direct ones win."""
    template = request.chat_template_kwargs or TemplateArguments()
    thinking = request.enable_thinking
    return {
        "enable_thinking": template.enable_thinking if thinking is None else thinking,
        "reasoning_effort": request.reasoning_effort or template.reasoning_effort,
    }


def _grammar(grammar: Grammar | None, wanted: TextFormat | SchemaFormat | None) -> Arguments:
    if isinstance(wanted, SchemaFormat):
        if grammar is not None:
            raise RefusedRequestError(500, "Give response_format or grammar, not both.")
        grammar = Grammar(type="json_schema", value=wanted.json_schema.schema)
    if grammar is None:
        return {}
    value = grammar.value if isinstance(grammar.value, str) else json.dumps(grammar.value)
    return {"grammar": value, "grammar_type": grammar.type}
