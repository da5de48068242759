"""Translates requests of Anthropic's Messages API into bodies for ``POST /v1/chat/completions``."""

import json
from collections.abc import Sequence

from proxy_service.errors import InvalidRequest, UnsupportedFeature
from proxy_service.translate.messages import image_url, limit_images
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.options import limit_stops
from proxy_service.translate.turns import Turns, image_part, images_of, text_of, text_part
from proxy_service.wire import JsonObject
from proxy_service.wire.anthropic import (
    Block,
    Content,
    Message,
    MessagesRequest,
    Source,
    Tool,
    ToolChoice,
    read_result,
)
from proxy_service.wire.ollama import check_image

# Efforts by the engine's names; its highest is Anthropic's "max".
_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "xhigh"}
_TOOL_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
# Kinds of content that only say how a reply of Anthropic's came about.
_WITHOUT_CONTENT = ("redacted_thinking", "server_tool_use")


def to_engine_chat(request: MessagesRequest, model: EngineModel) -> JsonObject:
    """Translate a request.

    Raises:
        InvalidRequest: A part of it is incomplete or isn't base64.
        UnsupportedFeature: It needs what only Anthropic's servers have.
    """
    if request.mcp_servers or request.container:
        raise UnsupportedFeature("this server has no MCP servers or containers for its clients")
    body: JsonObject = {
        "model": model.id,
        "messages": _messages(request),
        "stream": bool(request.stream),
        "max_tokens": request.max_tokens,
    }
    optional = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "stop": stop_strings(request) or None,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body |= _tool_choice(request.tool_choice)
    return body | _thinking(request) | _response_format(request)


def stop_strings(request: MessagesRequest) -> list[str]:
    """Return the non-empty stop strings of a request.

    Raises:
        InvalidRequest: There are too many.
    """
    strings = request.stop_sequences or []
    limit_stops(strings, "stop_sequences")
    return [string for string in strings if string]


def _messages(request: MessagesRequest) -> list[JsonObject]:
    if not request.messages:
        raise InvalidRequest("messages: at least one message is required")
    turns = Turns()
    turns.instruct(_text(request.system, "system"))
    for message in request.messages:
        if message.role == "system":
            turns.instruct(_text(message.content, "a message with the role system"))
        elif message.role == "assistant":
            _add_assistant(turns, message)
        else:
            _add_user(turns, message)
    limit_images(turns.images)
    return turns.messages()


def _blocks(content: Content | None) -> list[Block]:
    if isinstance(content, str):
        return [Block("text", text=content)]
    return content or []


def _text(content: Content | None, where: str) -> str:
    """Return a content that has to be text."""
    blocks = _blocks(content)
    for block in blocks:
        if block.type != "text":
            raise InvalidRequest(f"{where} can't have content of the type {block.type!r}")
    return "\n".join(block.text for block in blocks if block.text)


def _add_user(turns: Turns, message: Message) -> None:
    """Add the results first, because they have to follow the calls."""
    blocks = _blocks(message.content)
    for block in blocks:
        if block.type in ("tool_result", "web_search_tool_result"):
            _add_result(turns, block)
    parts = [part for block in blocks for part in _user_parts(block)]
    turns.user(parts)


def _add_result(turns: Turns, block: Block) -> None:
    if not block.tool_use_id:
        raise InvalidRequest("a tool_result has no tool_use_id")
    if block.type != "tool_result":
        turns.result(block.tool_use_id, json.dumps(block.content, ensure_ascii=False))
        return
    parts = [part for item in _blocks(read_result(block.content)) for part in _user_parts(item)]
    text = f"Error: {text_of(parts)}" if block.is_error else text_of(parts)
    turns.result(block.tool_use_id, text, images_of(parts))


def _user_parts(block: Block) -> Sequence[JsonObject]:
    """Return a block that the user sent as parts of a chat completion's content."""
    if block.type == "text":
        return [text_part(block.text)] if block.text else []
    if block.type == "image":
        return [image_part(_image_url(block.source))]
    if block.type == "document":
        return [text_part(_document(block))]
    if block.type == "search_result":
        return [text_part(json.dumps([block.title, block.content], ensure_ascii=False))]
    if block.type in ("tool_result", "web_search_tool_result"):
        return []  # added before
    raise UnsupportedFeature(f"this server can't read content of the type {block.type!r}")


def _image_url(source: Source | None) -> str:
    if source is not None and source.type == "base64" and source.data:
        url = image_url(check_image(source.data))
        if source.media_type:
            return f"data:{source.media_type};base64,{url.partition(',')[2]}"
        return url
    if source is not None and source.type == "url" and source.url:
        return check_image(source.url) if source.url.startswith("data:") else source.url
    raise UnsupportedFeature("this server takes images only as base64")


def _document(block: Block) -> str:
    source = block.source
    if source is None or source.type != "text" or source.data is None:
        raise UnsupportedFeature("this server takes documents only as text")
    return f"{block.title}\n{source.data}" if block.title else source.data


def _add_assistant(turns: Turns, message: Message) -> None:
    turns.assistant("")
    for block in _blocks(message.content):
        if block.type == "text":
            turns.assistant(block.text or "")
        elif block.type == "thinking":
            turns.thought(block.thinking or "")
        elif block.type == "tool_use":
            _add_call(turns, block)
        elif block.type not in _WITHOUT_CONTENT and not block.type.endswith("_tool_result"):
            raise UnsupportedFeature(f"this server can't read content of the type {block.type!r}")


def _add_call(turns: Turns, block: Block) -> None:
    if not block.id or not block.name:
        raise InvalidRequest("a tool_use needs an id and a name")
    turns.call(block.id, block.name, json.dumps(block.input or {}))


def _tool(tool: Tool) -> JsonObject:
    if tool.type not in (None, "custom"):
        raise UnsupportedFeature(f"this server has no tool of the type {tool.type!r}")
    if not tool.name:
        raise InvalidRequest("a tool has no name")
    function: JsonObject = {"name": tool.name, "parameters": tool.input_schema or {}}
    if tool.description:
        function["description"] = tool.description
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice | None) -> JsonObject:
    if choice is None:
        return {}
    extra = {"parallel_tool_calls": False} if choice.disable_parallel_tool_use else {}
    if choice.type != "tool":
        return extra | {"tool_choice": _TOOL_CHOICES[choice.type]}
    if not choice.name:
        raise InvalidRequest("tool_choice of the type 'tool' has no name")
    return extra | {"tool_choice": {"type": "function", "function": {"name": choice.name}}}


def _thinking(request: MessagesRequest) -> JsonObject:
    """Return the engine's control of thinking: only one of two, which could contradict."""
    wanted = request.thinking and request.thinking.type
    if wanted == "disabled":
        return {"enable_thinking": False}
    effort = request.output_config and request.output_config.effort
    if effort:
        known = _EFFORTS.get(effort)
        if known is None:
            expected = ", ".join(_EFFORTS)
            raise InvalidRequest(f"output_config.effort: {effort!r} isn't one of {expected}")
        return {"reasoning_effort": known}
    return {"enable_thinking": True} if wanted else {}


def _response_format(request: MessagesRequest) -> JsonObject:
    wanted = request.output_format
    if request.output_config is not None and request.output_config.format is not None:
        wanted = request.output_config.format
    if wanted is None:
        return {}
    schema = {"name": "response", "schema": wanted.schema}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
