"""Translates whole chat completions into messages, and the parts that streams share with them."""

from proxy_service.translate.replies import arguments_of, check_tool_calls, only_choice, thinking_of
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import Completion, ToolCallDelta, Usage


def to_message(reply: Completion, *, message_id: str, model: str) -> JsonObject:
    """Translate a whole chat completion into the response of ``POST /v1/messages``.

    Raises:
        EngineProtocolError: The reply has no choice, too many tool calls, or tool arguments
            that aren't an object.
    """
    choice = only_choice(reply)
    source = choice.get("message") or {}
    content: list[JsonObject] = []
    if thinking := thinking_of(source):
        content.append(thinking_block(thinking))
    if text := source.get("content"):
        content.append(text_block(text))
    calls = source.get("tool_calls") or []
    check_tool_calls(len(calls))
    content += [
        tool_use_block(call, position, message_id) | {"input": input_of(call)}
        for position, call in enumerate(calls)
    ]
    return message(message_id, model, content) | {
        "stop_reason": stop_reason(choice.get("finish_reason"), has_calls=bool(calls)),
        "usage": to_usage(reply.get("usage") or {}),
    }


def message(message_id: str, model: str, content: list[JsonObject]) -> JsonObject:
    """Return a message as it is before it has ended."""
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": to_usage({}),
    }


def text_block(text: str) -> JsonObject:
    """Return a block of text."""
    return {"type": "text", "text": text}


def thinking_block(thinking: str) -> JsonObject:
    """Return a block of thoughts; only Anthropic's own are signed."""
    return {"type": "thinking", "thinking": thinking, "signature": ""}


def tool_use_block(call: ToolCallDelta, position: int, message_id: str) -> JsonObject:
    """Return a tool call as it is before its input; ``position`` is its own among all calls."""
    name = call.get("function", {}).get("name", "")
    call_id = call.get("id") or f"toolu_{message_id}_{position}"
    return {"type": "tool_use", "id": call_id, "name": name, "input": {}}


def input_of(call: ToolCallDelta) -> JsonObject:
    """Return the arguments of a call.

    Raises:
        EngineProtocolError: They aren't a JSON object.
    """
    return arguments_of(call.get("function", {}).get("arguments") or "{}")


def stop_reason(finish_reason: str | None, *, has_calls: bool) -> str:
    """Return why a message ended."""
    if has_calls:
        return "tool_use"
    return "max_tokens" if finish_reason == "length" else "end_turn"


def to_usage(usage: Usage) -> JsonObject:
    """Return the counts of a message, in tokens."""
    return {
        "input_tokens": usage.get("prompt_tokens", 0),
        "output_tokens": usage.get("completion_tokens", 0),
    }
