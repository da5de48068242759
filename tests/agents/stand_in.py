"""A model that reads a note with an agent's tool, in each API that an engine may have."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.proxy.scripted_engine import (
    DONE,
    USAGE,
    Received,
    Reply,
    completion,
    delta_event,
    stream,
    words,
)

# What the note says; the agent has to send it back as the tool's result.
SECRET = "kumquat-7291"

Script = Callable[[Received], Reply]


def over_chat_completions(tool: str, arguments: Mapping[str, object]) -> Script:
    """Think, call the tool, and repeat what it returned."""
    function = {"name": tool, "arguments": json.dumps(arguments)}
    call = {"index": 0, "id": "call-1", "type": "function", "function": function}

    def reply(request: Received) -> Reply:
        body = request.json
        offered = [entry["function"]["name"] for entry in body.get("tools", [])]
        if tool not in offered:  # for a title, for example
            return words("A note") if body.get("stream") else completion("A note")
        results = [entry for entry in body["messages"] if entry["role"] == "tool"]
        if results:
            return words("It says ", _found_in(results[-1]["content"]), ".")
        thoughts = delta_event(None, reasoning_content="A note.")
        called = delta_event(None, finish="tool_calls", usage=USAGE, tool_calls=[call])
        return stream(thoughts, delta_event("Let me look."), called, DONE)

    return reply


def over_messages(tool: str, arguments: Mapping[str, object]) -> Script:
    """Do the same in Anthropic's API."""
    use = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}
    delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}

    def reply(request: Received) -> Reply:
        results = [
            block
            for message in request.json["messages"]
            for block in message["content"]
            if isinstance(block, dict) and block["type"] == "tool_result"
        ]
        if results:
            said = {"type": "text_delta", "text": f"It says {_found_in(results[-1])}."}
            return _message({"type": "text", "text": ""}, said, "end_turn")
        return _message(use, delta, "tool_use")

    return reply


def _message(block: dict[str, Any], delta: dict[str, Any], reason: str) -> Reply:
    usage = {"input_tokens": 3, "output_tokens": 4}
    message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant"}
    message |= {"model": "m", "content": [], "usage": usage}
    message |= {"stop_reason": None, "stop_sequence": None}
    ended = {"stop_reason": reason, "stop_sequence": None}
    return _named(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": usage},
        {"type": "message_stop"},
    )


def over_responses(tool: str, arguments: Mapping[str, object]) -> Script:
    """Do the same in OpenAI's Responses API."""
    call = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call-1"}
    call |= {"name": tool, "arguments": json.dumps(arguments)}

    def reply(request: Received) -> Reply:
        items = request.json["input"]
        results = [item for item in items if item["type"] == "function_call_output"]
        if not results:
            return _response(call)
        said = f"It says {_found_in(results[-1])}."
        text = {"type": "output_text", "text": said, "annotations": []}
        return _response({"id": "msg_1", "type": "message", "role": "assistant", "content": [text]})

    return reply


def _response(item: dict[str, Any]) -> Reply:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    response = {"id": "resp_1", "object": "response", "output": [item], "usage": usage}
    return _named(
        {"type": "response.created", "response": response | {"output": [], "usage": None}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response},
    )


def _named(*values: dict[str, Any]) -> Reply:
    return stream(
        *(f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in values)
    )


def _found_in(result: object) -> str:
    """Return what a tool's result has of the note; the agent may have wrapped it."""
    found = re.search(r"kumquat-\d+", json.dumps(result))
    return found.group() if found else "nothing"
