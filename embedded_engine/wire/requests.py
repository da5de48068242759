"""Translate request bodies into the arguments of the wheel's chat request."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from embedded_engine.errors import RefusedRequestError
from embedded_engine.wire.bodies import (
    RAW_ROLE,
    ChatRequest,
    CompletionRequest,
    Grammar,
    JsonObject,
    Message,
    NamedTool,
    SamplingRequest,
    SchemaFormat,
    TemplateArguments,
    TextFormat,
    TextPart,
    Tool,
    ToolCall,
)

# Keyword arguments of `mistralrs.ChatCompletionRequest`, except `model` and `stream`.
Arguments = dict[str, Any]

# Fields that have the same name in the wheel as on the wire.
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


def chat_arguments(request: ChatRequest, sampling: Mapping[str, float]) -> Arguments:
    """Translate a chat request for the wheel.

    Args:
        request: What the client sent.
        sampling: Parameters that are used unless the request sets them.

    Raises:
        RefusedRequestError: The request contradicts itself.
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
    return {**sampling, **_sampling(request), **_present(arguments)}


def completion_arguments(request: CompletionRequest, sampling: Mapping[str, float]) -> Arguments:
    """Translate a completion request: a chat request whose only message is the raw prompt."""
    arguments = {
        "messages": [{"role": RAW_ROLE, "content": request.prompt}],
        "logprobs": None if request.logprobs is None else True,
        "top_logprobs": request.logprobs,
        **_grammar(request.grammar, None),
    }
    return {**sampling, **_sampling(request), **_present(arguments)}


def _sampling(request: SamplingRequest) -> Arguments:
    stop = [request.stop] if isinstance(request.stop, str) else request.stop
    arguments = {name: getattr(request, name) for name in _SAME_NAME}
    return _present(arguments | {"stop_seqs": stop or None})


def _present(arguments: Arguments) -> Arguments:
    """Leave out what wasn't given, so that the wheel's own defaults apply."""
    return {name: value for name, value in arguments.items() if value is not None}


def _messages(messages: list[Message] | str) -> list[JsonObject]:
    if isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if any(message.role == RAW_ROLE for message in messages):
        raise RefusedRequestError(f"The role '{RAW_ROLE}' is reserved; use /v1/completions.")
    return [{"role": message.role, "content": _content(message)} for message in messages]


def _content(message: Message) -> str:
    """Return the content, with the tool calls of an earlier turn written out.

    The wheel passes only role and content to the template; without this the model would see a
    tool's result but not what it had asked for.
    """
    text = _text(message.content)
    calls = [_call_text(call) for call in message.tool_calls or ()]
    return "\n".join([text, *calls] if text else calls)


def _text(content: str | list[TextPart] | None) -> str:
    """Join parts, as templates that take parts do.

    The templates of many models, the default one among them, take only a string.
    """
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def _call_text(call: ToolCall) -> str:
    """Write a tool call in the form that the engine recognises in a reply."""
    arguments = call.function.arguments or {}
    if isinstance(arguments, str):
        # Arguments that aren't JSON are what the model wrote; it gets them back unchanged.
        with suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    return json.dumps({"name": call.function.name, "arguments": arguments}, ensure_ascii=False)


def _tools(
    tools: list[Tool] | None, choice: str | NamedTool | None
) -> tuple[list[str] | None, str | None]:
    """Return the tools' schemas as JSON texts, and whether they may be called (`auto` or `none`).

    The wheel can't force a call. If the client names a tool, it is the only one that is offered.
    """
    if not tools:
        return None, None
    if isinstance(choice, NamedTool):
        name = choice.function.name
        tools = [tool for tool in tools if tool.function.name == name]
        if not tools:
            raise RefusedRequestError(f"tool_choice names '{name}', which is not among the tools.")
        choice = "auto"
    return [msgspec.json.encode(tool).decode() for tool in tools], choice or "auto"


def _thinking(request: ChatRequest) -> Arguments:
    """Return the two controls of thinking; fields of the request override the template's."""
    template = request.chat_template_kwargs or TemplateArguments()
    thinking = request.enable_thinking
    return {
        "enable_thinking": template.enable_thinking if thinking is None else thinking,
        "reasoning_effort": request.reasoning_effort or template.reasoning_effort,
    }


def _grammar(grammar: Grammar | None, wanted: TextFormat | SchemaFormat | None) -> Arguments:
    if isinstance(wanted, SchemaFormat):
        if grammar is not None:
            raise RefusedRequestError("Give response_format or grammar, not both.")
        grammar = Grammar(type="json_schema", value=wanted.json_schema.schema)
    if grammar is None:
        return {}
    value = grammar.value if isinstance(grammar.value, str) else json.dumps(grammar.value)
    return {"grammar": value, "grammar_type": grammar.type}
