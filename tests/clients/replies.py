"""Replies of the scripted engine that the tests of several clients use."""

import json
from typing import Any

from tests.proxy.scripted_engine import (
    DONE,
    USAGE,
    Received,
    Reply,
    completion,
    delta_event,
    stream,
)

PERSON: dict[str, Any] = {
    "title": "Person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
}
CALL: dict[str, Any] = {
    "index": 0,
    "id": "call-1",
    "type": "function",
    "function": {"name": "add", "arguments": json.dumps({"a": 1, "b": 2})},
}


def calls_a_tool(request: Received) -> Reply:
    """Call `add` with 1 and 2, whole or streamed as requested."""
    if request.json.get("stream"):
        return stream(delta_event(None, finish="tool_calls", usage=USAGE, tool_calls=[CALL]), DONE)
    return completion(None, finish="tool_calls", tool_calls=[CALL])


def writes_json(request: Received) -> Reply:
    """Write `{"name": "Ada"}` as text."""
    if request.json.get("stream"):
        pieces = [delta_event(piece) for piece in ('{"na', 'me": "A', 'da"}')]
        return stream(*pieces, delta_event("", finish="stop", usage=USAGE), DONE)
    return completion('{"name": "Ada"}')
