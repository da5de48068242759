"""Translates chat and generate requests from Ollama's format to the engine's."""

from proxy_service.errors import UnsupportedFeature
from proxy_service.translate.context import decode_turns
from proxy_service.translate.messages import to_engine_messages, user_content
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.options import to_full_sampling
from proxy_service.translate.schemas.translation import GrammarSchema, to_grammar_schema
from proxy_service.wire import JsonObject
from proxy_service.wire.ollama import ChatRequest, Common, GenerateRequest

# Ollama's "max" is one level above "high", as is the engine's "xhigh".
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "max": "xhigh"}
_ANY_OBJECT: JsonObject = {"type": "object"}


def to_engine_format(wanted: str | JsonObject | None) -> GrammarSchema | None:
    """Translate ``format`` into a schema for the engine; None if the reply may be any text.

    Raises:
        InvalidRequest: The schema is too large, or refers to what it doesn't contain.
    """
    if wanted is None:
        return None
    # Mistral.rs before 0.8.19 refuses `json_object`; a schema that any object matches always works.
    return to_grammar_schema(_ANY_OBJECT if isinstance(wanted, str) else wanted)


def to_engine_chat(
    request: ChatRequest, model: EngineModel, wanted: GrammarSchema | None
) -> JsonObject:
    """Translate ``POST /api/chat`` into a body for ``POST /v1/chat/completions``."""
    body = _common(request.common, model, wanted)
    body["messages"] = to_engine_messages(request.messages)
    if request.tools:
        body["tools"] = list(request.tools)
    return body


def to_engine_generate(
    request: GenerateRequest, model: EngineModel, wanted: GrammarSchema | None
) -> JsonObject:
    """Translate ``POST /api/generate`` into a body for ``POST /v1/chat/completions``.

    Raises:
        UnsupportedFeature: The request has a suffix or its own template.
    """
    refuse_unsupported(request)
    turns: list[JsonObject] = []
    if request.system:
        turns.append({"role": "system", "content": request.system})
    turns += [{"role": role, "content": text} for role, text in decode_turns(request.context)]
    turns.append({"role": "user", "content": user_content(request.prompt, request.images)})
    return _common(request.common, model, wanted) | {"messages": turns}


def to_engine_raw(
    request: GenerateRequest, model: EngineModel, wanted: GrammarSchema | None
) -> JsonObject:
    """Translate a raw ``POST /api/generate`` into a body for ``POST /v1/completions``.

    The engine's completions have neither ``response_format`` nor thinking, and ``logprobs`` is a
    count instead of a flag. They report usage only in whole replies, so the body always asks for
    one.

    Raises:
        UnsupportedFeature: The request has a suffix, its own template or images.
    """
    refuse_unsupported(request)
    if request.images:
        raise UnsupportedFeature(f"{request.common.model} does not support images in raw mode")
    common = request.common
    body: JsonObject = {"model": model.id, "prompt": request.prompt, "stream": False}
    body |= to_full_sampling(common.options, model.parameters)
    if common.truncate:
        body["truncate_sequence"] = True
    if wanted is not None:
        body["grammar"] = {"type": "json_schema", "value": wanted.schema}
    if common.logprobs:
        body["logprobs"] = max(common.top_logprobs, 1)
    return body


def refuse_unsupported(request: GenerateRequest) -> None:
    """Raise `UnsupportedFeature` if the request needs what the engine can't do."""
    if request.suffix:
        raise UnsupportedFeature(f"{request.common.model} does not support insert")
    if request.template:
        raise UnsupportedFeature(f"{request.common.model} does not support a template per request")


def _common(common: Common, model: EngineModel, wanted: GrammarSchema | None) -> JsonObject:
    # A stream ends when its client leaves; in whole replies, the engine sends more logprobs.
    body: JsonObject = {"model": model.id, "stream": common.stream or not common.logprobs}
    body |= to_full_sampling(common.options, model.parameters)
    body |= _thinking(common)
    if wanted is not None:
        named: JsonObject = {"name": "response", "schema": wanted.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if common.truncate:
        body["truncate_sequence"] = True
    if common.logprobs:
        body |= {"logprobs": True, "top_logprobs": max(common.top_logprobs, 1)}
    return body


def _thinking(common: Common) -> JsonObject:
    if common.format is not None:
        # The format applies from the first token on, so the model's thoughts would be the JSON.
        return {"enable_thinking": False}
    if isinstance(common.think, str):
        return {"reasoning_effort": _EFFORTS[common.think]}
    return {} if common.think is None else {"enable_thinking": common.think}
