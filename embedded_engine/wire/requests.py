"""Translate request bodies into the arguments of the wheel's chat request."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from embedded_engine.errors import RefusedRequestError
from embedded_engine.wire.bodies import (
    RAW_ROLE,
    AllowedTools,
    CalledFunction,
    ChatRequest,
    ChosenTools,
    CompletionRequest,
    Grammar,
    JsonObject,
    Message,
    NamedTool,
    ObjectFormat,
    Part,
    SamplingRequest,
    SchemaFormat,
    TemplateArguments,
    TextPart,
    Tool,
)
from embedded_engine.wire.forced_calls import forced_call
from embedded_engine.wire.unserved import refuse_seed, refuse_unserved

# Keyword arguments of `mistralrs.ChatCompletionRequest`, except `model` and `stream`.
Arguments = dict[str, Any]

# Fields that have the same name in the wheel as on the wire.
_SAME_NAME = (
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
        RefusedRequestError: The request contradicts itself, or asks for what the wheel can't do.
    """
    refuse_unserved(request)
    if request.top_logprobs and not request.logprobs:
        raise RefusedRequestError("top_logprobs has no effect unless logprobs is true.")
    tools, choice = _offered(request.tools or [], request.tool_choice)
    grammar = _grammar(request, tools if choice == "required" else [])
    arguments = {
        "messages": _messages(request.messages),
        "logprobs": request.logprobs,
        "top_logprobs": request.top_logprobs,
        **_tools(tools, choice),
        # The grammar applies from the first token on, so a thought would have to match it.
        **({"enable_thinking": False} if grammar else _thinking(request)),
        **_as_arguments(grammar or request.grammar),
    }
    return _with_sampling(request, sampling, arguments)


def completion_arguments(request: CompletionRequest, sampling: Mapping[str, float]) -> Arguments:
    """Translate a completion request: a chat request whose only message is the raw prompt.

    Raises:
        RefusedRequestError: The request contradicts itself, or asks for what the wheel can't do.
    """
    refuse_unserved(request)
    arguments = {
        "messages": [{"role": RAW_ROLE, "content": request.prompt}],
        "logprobs": None if request.logprobs is None else True,
        "top_logprobs": request.logprobs,
        **_as_arguments(request.grammar),
    }
    return _with_sampling(request, sampling, arguments)


def _with_sampling(
    request: SamplingRequest, sampling: Mapping[str, float], arguments: Arguments
) -> Arguments:
    complete = {**sampling, **_sampling(request), **_present(arguments)}
    refuse_seed(request.seed, complete)
    return complete


def _sampling(request: SamplingRequest) -> Arguments:
    stop = [request.stop] if isinstance(request.stop, str) else request.stop
    arguments = {name: getattr(request, name) for name in _SAME_NAME}
    return _present(arguments | {"max_tokens": _max_tokens(request), "stop_seqs": stop or None})


def _max_tokens(request: SamplingRequest) -> int | None:
    """Return the limit on the reply, which has an old and a new name."""
    old, new = request.max_tokens, request.max_completion_tokens
    if old is not None and new is not None and old != new:
        raise RefusedRequestError("Give max_tokens or max_completion_tokens, not both.")
    return new if old is None else old


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
    text = _text(message.content) or message.refusal or ""
    called = [call.function for call in message.tool_calls or ()]
    called += [message.function_call] if message.function_call else []
    calls = [_call_text(function) for function in called]
    return "\n".join([text, *calls] if text else calls)


def _text(content: str | list[Part] | None) -> str:
    """Join parts, as templates that take parts do.

    The templates of many models, the default one among them, take only a string.

    Raises:
        RefusedRequestError: 400, a part isn't text.
    """
    if not isinstance(content, list):
        return content or ""
    texts = [part.text for part in content if isinstance(part, TextPart)]
    if len(texts) < len(content):
        raise RefusedRequestError(
            "This engine's model reads only text: send no images and no audio.", status=400
        )
    return "".join(texts)


def _call_text(function: CalledFunction) -> str:
    """Write a tool call in the form that the engine recognises in a reply."""
    arguments = function.arguments or {}
    if isinstance(arguments, str):
        # Arguments that aren't JSON are what the model wrote; it gets them back unchanged.
        with suppress(ValueError, RecursionError):
            arguments = json.loads(arguments)
    return json.dumps({"name": function.name, "arguments": arguments}, ensure_ascii=False)


def _offered(tools: list[Tool], choice: str | ChosenTools | None) -> tuple[list[Tool], str]:
    """Return the tools that the model is offered, and ``auto``, ``none`` or ``required``.

    A tool that has to be called is the only one that is offered.

    Raises:
        RefusedRequestError: A call is required of a tool that isn't there.
    """
    if isinstance(choice, ChosenTools):
        chosen = _chosen(choice)
        tools = [_named(tools, tool.tool_name) for tool in chosen.tools]
        choice = chosen.mode
    if choice == "required" and not tools:
        raise RefusedRequestError("tool_choice requires a call, but there are no tools.")
    return tools, choice or "auto"


def _chosen(choice: ChosenTools) -> AllowedTools:
    """Read the forms that an object may have: of one tool, of allowed tools, nested or not."""
    if choice.type == "function":
        return AllowedTools("required", [NamedTool(function=choice.function, name=choice.name)])
    return choice.allowed_tools or AllowedTools(choice.mode or "auto", choice.tools or [])


def _named(tools: list[Tool], name: str) -> Tool:
    for tool in tools:
        if tool.function.name == name:
            return tool
    raise RefusedRequestError(f"tool_choice names '{name}', which is not among the tools.")


def _tools(tools: list[Tool], choice: str) -> Arguments:
    """Return the tools as JSON texts, and whether they may be called; a grammar forces a call."""
    if not tools:
        return {}
    schemas = [msgspec.json.encode(tool).decode() for tool in tools]
    return {"tool_schemas": schemas, "tool_choice": "none" if choice == "none" else "auto"}


def _thinking(request: ChatRequest) -> Arguments:
    """Return the two controls of thinking; fields of the request override the template's."""
    template = request.chat_template_kwargs or TemplateArguments()
    thinking = request.enable_thinking
    return {
        "enable_thinking": template.enable_thinking if thinking is None else thinking,
        "reasoning_effort": request.reasoning_effort or template.reasoning_effort,
    }


def _grammar(request: ChatRequest, callable_tools: list[Tool]) -> Grammar | None:
    """Return the grammar of the reply that OpenAI's fields ask for, if any.

    One of ``callable_tools`` has to be called, if there are any. Then the reply has no content that
    a ``response_format`` could apply to.
    """
    wanted = request.response_format
    if callable_tools:
        grammar = Grammar(type="llguidance", value=forced_call(callable_tools))
    elif isinstance(wanted, SchemaFormat):
        grammar = Grammar(type="json_schema", value=wanted.json_schema.schema)
    elif isinstance(wanted, ObjectFormat):
        grammar = Grammar(type="json_schema", value={"type": "object"})
    else:
        return None
    if request.grammar is not None:
        field = "tool_choice" if callable_tools else "response_format"
        raise RefusedRequestError(f"Give {field} or grammar, not both.")
    return grammar


def _as_arguments(grammar: Grammar | None) -> Arguments:
    if grammar is None:
        return {}
    value = grammar.value if isinstance(grammar.value, str) else json.dumps(grammar.value)
    return {"grammar": value, "grammar_type": grammar.type}
