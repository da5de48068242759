"""Translates requests of the Responses API into bodies for ``POST /v1/chat/completions``."""

from collections.abc import Sequence

from proxy_service.errors import InvalidRequest, UnsupportedFeature
from proxy_service.translate.messages import limit_images
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.responses.tools import Tools, arguments_in, qualified
from proxy_service.translate.turns import Turns, image_part, images_of, text_of, text_part
from proxy_service.wire import JsonObject
from proxy_service.wire.ollama import check_image
from proxy_service.wire.responses import Content, Item, Part, ResponsesRequest

# Efforts by the engine's names.
_EFFORTS = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "xhigh",
}
# Fields that only a server can honour that keeps responses, and one whose result isn't translated.
_UNSUPPORTED = ("background", "conversation", "previous_response_id", "prompt", "top_logprobs")
_CALLS = ("function_call", "custom_tool_call")
_RESULTS = ("function_call_output", "custom_tool_call_output")
# Items that only say how a reply of OpenAI's came about; the message after them has the result.
_WITHOUT_CONTENT = ("web_search_call", "file_search_call", "code_interpreter_call")


def to_engine_chat(request: ResponsesRequest, tools: Tools, model: EngineModel) -> JsonObject:
    """Translate a request; ``tools`` are its tools.

    Raises:
        InvalidRequest: A part of it is incomplete or isn't base64.
        UnsupportedFeature: It needs what only OpenAI's servers have.
    """
    for name in _UNSUPPORTED:
        if getattr(request, name):
            raise UnsupportedFeature(
                f"{name} isn't supported: the engine behind this server has no /v1/responses; "
                "send the whole conversation as input"
            )
    body: JsonObject = {
        "model": model.id,
        "messages": _messages(request),
        "stream": bool(request.stream),
    }
    optional = {
        "max_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "truncate_sequence": True if request.truncation == "auto" else None,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    return body | tools.to_engine() | _thinking(request) | _response_format(request)


def _messages(request: ResponsesRequest) -> list[JsonObject]:
    turns = Turns()
    turns.instruct(request.instructions or "")
    if isinstance(request.input, str):
        turns.user([text_part(request.input)] if request.input else [])
    else:
        for item in request.input:
            _add(turns, item)
    limit_images(turns.images)
    messages = turns.messages()
    if not messages:
        raise InvalidRequest("input is empty")
    return messages


def _add(turns: Turns, item: Item) -> None:
    if item.type == "message" or (item.type is None and item.role):
        _add_message(turns, item)
    elif item.type == "reasoning":
        turns.thought("\n".join(part.text or "" for part in item.summary or []))
    elif item.type in _CALLS:
        if not item.call_id or not item.name:
            raise InvalidRequest(f"a {item.type} needs a call_id and a name")
        turns.call(item.call_id, qualified(item.name, item.namespace), arguments_in(item))
    elif item.type in _RESULTS:
        if not item.call_id:
            raise InvalidRequest(f"a {item.type} needs a call_id")
        parts = _parts(item.output)
        turns.result(item.call_id, text_of(parts), images_of(parts))
    elif item.type not in _WITHOUT_CONTENT:
        raise UnsupportedFeature(f"this server can't read input of the type {item.type!r}")


def _add_message(turns: Turns, item: Item) -> None:
    parts = _parts(item.content)
    if item.role == "user":
        turns.user(parts)
    elif images_of(parts):
        raise InvalidRequest(f"only messages with the role user can have images, not {item.role!r}")
    elif item.role == "assistant":
        turns.assistant(text_of(parts))
    elif item.role in ("system", "developer"):
        turns.instruct(text_of(parts))
    else:
        raise InvalidRequest(f"a message has the role {item.role!r}")


def _parts(content: Content | None) -> list[JsonObject]:
    if isinstance(content, str):
        return [text_part(content)] if content else []
    return [part for sent in content or [] for part in _part(sent)]


def _part(part: Part) -> Sequence[JsonObject]:
    if part.type in ("input_text", "output_text", "text"):
        return [text_part(part.text)] if part.text else []
    if part.type == "refusal":
        return [text_part(part.refusal)] if part.refusal else []
    if part.type == "input_image" and part.image_url:
        url = part.image_url
        return [image_part(check_image(url) if url.startswith("data:") else url)]
    raise UnsupportedFeature(f"this server can't read content of the type {part.type!r}")


def _thinking(request: ResponsesRequest) -> JsonObject:
    effort = request.reasoning and request.reasoning.effort
    if not effort:
        return {}
    if effort == "none":
        return {"enable_thinking": False}
    known = _EFFORTS.get(effort)
    if known is None:
        expected = ", ".join(("none", *_EFFORTS))
        raise InvalidRequest(f"reasoning.effort: {effort!r} isn't one of {expected}")
    return {"reasoning_effort": known}


def _response_format(request: ResponsesRequest) -> JsonObject:
    wanted = request.text and request.text.format
    if not wanted or wanted.type == "text":
        return {}
    if wanted.type == "json_object":
        return {"response_format": {"type": "json_object"}}
    if wanted.schema is None:
        raise InvalidRequest("text.format of the type json_schema has no schema")
    schema = {"name": wanted.name or "response", "schema": wanted.schema}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
