"""Translates whole chat completions into responses, and the parts that streams share with them."""

from dataclasses import dataclass
from typing import cast

from proxy_service.errors import ProxyError, RequestError
from proxy_service.translate.replies import check_tool_calls, only_choice, thinking_of
from proxy_service.translate.responses.tools import ToolNames
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import Completion, ToolCallDelta, Usage
from proxy_service.wire.reading import decode_strict
from proxy_service.wire.writing import to_json_in_steps

# Asks for thoughts that the client can send back.
ENCRYPTED = "reasoning.encrypted_content"
# Bytes of JSON. A stream repeats them three times.
MAX_REPEATED_BYTES = 32 * 1024
# The fields of a request that its response repeats. Those at the end are left out first.
_REPEATED = (
    *("max_output_tokens", "parallel_tool_calls", "reasoning", "temperature", "top_p"),
    *("truncation", "tool_choice", "text", "metadata", "instructions", "tools"),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What a response has besides its output.

    Attributes:
        sent: What is repeated of the request's body, as JSON; see `repeated`. Decoded, it could
            take twenty times as much memory for as long as the engine generates.
        tools: The names of the request's tools.
        model: The model's name as the client sent it.
        key: A part of all ids, unique among requests.
        created_at: Unix seconds.
        encrypted: Whether the client asked for thoughts that it can send back; see `reasoning`.
    """

    sent: bytes
    tools: ToolNames
    model: str
    key: str
    created_at: int
    encrypted: bool = False

    def response(
        self,
        status: str,
        output: list[JsonObject],
        *,
        usage: Usage | None = None,
        error: JsonObject | None = None,
    ) -> JsonObject:
        """Return a response with this output."""
        sent = cast("JsonObject", decode_strict(self.sent))
        text = sent.get("text")
        text_format = text.get("format") if isinstance(text, dict) else None
        return {
            "id": f"resp_{self.key}",
            "object": "response",
            "created_at": self.created_at,
            "status": status,
            "error": error,
            "incomplete_details": (
                {"reason": "max_output_tokens"} if status == "incomplete" else None
            ),
            "instructions": sent.get("instructions"),
            "max_output_tokens": sent.get("max_output_tokens"),
            "model": self.model,
            "output": output,
            "parallel_tool_calls": sent.get("parallel_tool_calls") is not False,
            "previous_response_id": None,
            "reasoning": sent.get("reasoning") or {"effort": None, "summary": None},
            "store": False,
            "temperature": sent.get("temperature"),
            "text": {"format": text_format or {"type": "text"}},
            "tool_choice": sent.get("tool_choice") or "auto",
            "tools": sent.get("tools") or [],
            "top_p": sent.get("top_p"),
            "truncation": sent.get("truncation") or "disabled",
            "usage": None if usage is None else _to_usage(usage),
            "metadata": sent.get("metadata") or {},
        }

    def reasoning(self, position: int, text: str) -> JsonObject:
        """Return thoughts as the item at this position of the output.

        Clients send them back with the next request. What they call encrypted isn't: there is
        nobody to hide it from.
        """
        item: JsonObject = {
            "id": f"rs_{self.key}_{position}",
            "type": "reasoning",
            "summary": [summary_part(text)] if text else [],
        }
        if text and self.encrypted:
            item["encrypted_content"] = text
        return item

    def message(self, position: int, text: str, status: str = "completed") -> JsonObject:
        """Return text as the item at this position of the output; it has no part if it is empty."""
        return {
            "id": f"msg_{self.key}_{position}",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [output_part(text)] if text else [],
        }

    def call(self, position: int, call: ToolCallDelta) -> JsonObject:
        """Return a tool call as the item at this position of the output."""
        return self.tools.to_item(call, f"fc_{self.key}_{position}")


def repeated(sent: JsonObject) -> bytes:
    """Return those fields of a request that a response repeats, as far as they fit."""
    parts: list[bytes] = []
    left = MAX_REPEATED_BYTES
    for name in _REPEATED:
        if name in sent:
            part = b'"%b":%b' % (name.encode(), to_json_in_steps(sent[name]))
            if len(part) < left:
                left -= len(part) + 1
                parts.append(part)
    return b"{%b}" % b",".join(parts)


def to_response(reply: Completion, frame: Frame) -> JsonObject:
    """Translate a whole chat completion into the response of ``POST /v1/responses``.

    Raises:
        EngineProtocolError: The reply has no choice, or too many tool calls.
    """
    choice = only_choice(reply)
    source = choice.get("message") or {}
    output: list[JsonObject] = []
    status = status_of(choice.get("finish_reason"))
    if thinking := thinking_of(source):
        output.append(frame.reasoning(len(output), thinking))
    if text := source.get("content"):
        output.append(frame.message(len(output), text, status))
    calls = source.get("tool_calls") or []
    check_tool_calls(len(calls))
    for call in calls:
        output.append(frame.call(len(output), call))
    return frame.response(status, output, usage=reply.get("usage") or {})


def status_of(finish_reason: str | None) -> str:
    """Return the status of a response that has ended."""
    return "incomplete" if finish_reason == "length" else "completed"


def error_of(error: ProxyError) -> JsonObject:
    """Return an error as a response that failed has it."""
    code = "invalid_prompt" if isinstance(error, RequestError) else "server_error"
    return {"code": code, "message": error.message}


def summary_part(text: str) -> JsonObject:
    """Return thoughts as a part of an item."""
    return {"type": "summary_text", "text": text}


def output_part(text: str) -> JsonObject:
    """Return text as a part of a message."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _to_usage(usage: Usage) -> JsonObject:
    """Return the counts of a response, in tokens; the engine doesn't report the details."""
    prompt, completion = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + completion,
    }
