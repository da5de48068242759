"""Translates the engine's whole replies, and the parts that streams share with them."""

from typing import TypeGuard, cast

from proxy_service.clock import NS_PER_SECOND, Moment
from proxy_service.errors import EngineProtocolError
from proxy_service.translate.engine_errors import failed_while_generating, parse_reply
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import Choice, Completion, Delta, ToolCallDelta, Usage
from proxy_service.wire.reading import decode_reply

# Far above any real count or time.
_MAX_COUNT_OR_TIME = 2**53

# Of one reply; far more than any model makes at once.
_MAX_TOOL_CALLS = 1000

# The fields of `Usage`, each with its name in chat completions and in the other APIs.
_COUNTS = {
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
}
# The finish reasons of the responses and messages APIs, in the words of chat completions.
_FINISH_REASONS = {
    "completed": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "incomplete": "length",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "failed": "error",
}
_TIMES = ("total_prompt_time_sec", "total_completion_time_sec")

# For any other finish reason, Ollama's is "stop".
_DONE_REASONS = {"length": "length"}


def read_completion(body: bytes, *, model: str) -> Completion:
    """Decode a whole reply; ``model`` is the model's name as the client sent it.

    Raises:
        ProxyError: The reply isn't a completion, or reports that the engine failed.
    """
    value = parse_reply(body)
    if not isinstance(value, dict):
        raise EngineProtocolError("the engine's reply isn't a JSON object")
    reply = cast("Completion", value)
    reply["usage"] = to_usage(value.get("usage"))
    if only_choice(reply).get("finish_reason") == "error":
        raise failed_while_generating(value, model=model)
    return reply


def to_usage(source: object) -> Usage:
    """Read an engine's usage, without the counts and times that aren't numbers."""
    given = cast("JsonObject", source) if isinstance(source, dict) else {}
    usage: JsonObject = {}
    for field, names in _COUNTS.items():
        for name in names:
            value = given.get(name)
            if _is_number(value):
                usage[field] = int(value)
                break
    for field in _TIMES:
        value = given.get(field)
        if _is_number(value):
            usage[field] = value
    return cast("Usage", usage)


def finish_reason_of(value: JsonObject) -> str | None:
    """Return why a generation ended, in the words of chat completions, from any API's object.

    Chat completions have a ``finish_reason`` in their only choice, responses a ``status``, and
    messages a ``stop_reason``. Return None if the object has none of these.
    """
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(choice, dict):
        reason = choice.get("finish_reason")
    else:
        delta = value.get("delta")
        source = delta if isinstance(delta, dict) else value
        reason = _FINISH_REASONS.get(str(source.get("stop_reason") or source.get("status")))
    return reason if isinstance(reason, str) else None


def _is_number(value: object) -> TypeGuard[float]:
    return type(value) in (int, float) and 0 <= cast("float", value) < _MAX_COUNT_OR_TIME


def to_ollama_chat(
    reply: Completion, *, model: str, at: Moment, load_ns: int, top_logprobs: int
) -> JsonObject:
    """Translate a whole chat completion into the response of ``POST /api/chat``."""
    choice = only_choice(reply)
    source = choice.get("message") or {}
    message: JsonObject = {"role": "assistant", "content": source.get("content") or ""}
    if thinking := thinking_of(source):
        message["thinking"] = thinking
    if calls := source.get("tool_calls"):
        message["tool_calls"] = to_ollama_tool_calls(calls)
    return (
        {"model": model, "created_at": at.created_at, "message": message}
        | _logprobs_part(choice, top_logprobs)
        | final_part(reply, choice, at=at, load_ns=load_ns)
    )


def to_ollama_generate(
    reply: Completion, *, model: str, at: Moment, load_ns: int, top_logprobs: int
) -> JsonObject:
    """Translate a whole completion, chat or raw, into the response of ``POST /api/generate``."""
    choice = only_choice(reply)
    source = choice.get("message") or {}
    body: JsonObject = {
        "model": model,
        "created_at": at.created_at,
        "response": choice.get("text") or source.get("content") or "",
    }
    if thinking := thinking_of(source):
        body["thinking"] = thinking
    return (
        body
        | _logprobs_part(choice, top_logprobs)
        | final_part(reply, choice, at=at, load_ns=load_ns)
    )


def only_choice(reply: Completion) -> Choice:
    """Return the reply's only choice.

    Raises:
        EngineProtocolError: There is none.
    """
    choices = reply.get("choices")
    if not choices:
        raise EngineProtocolError("the engine's reply has no choices")
    return choices[0]


def thinking_of(part: Delta) -> str:
    """Return the reasoning in a message or delta, empty if there is none.

    Mistral.rs calls it ``reasoning_content``, vLLM and Ollama's ``/v1`` call it ``reasoning``. Some
    engines send it under both names.
    """
    return part.get("reasoning_content") or part.get("reasoning") or ""


def final_part(reply: Completion, choice: Choice, *, at: Moment, load_ns: int) -> JsonObject:
    """Return the fields that only a response's last object has."""
    return {
        "done": True,
        "done_reason": done_reason(choice.get("finish_reason")),
    } | to_ollama_counts(reply.get("usage") or {}, at=at, load_ns=load_ns)


def done_reason(finish_reason: str | None) -> str:
    """Translate the engine's ``finish_reason``."""
    return _DONE_REASONS.get(finish_reason or "", "stop")


def to_ollama_counts(usage: Usage, *, at: Moment, load_ns: int) -> JsonObject:
    """Translate usage into Ollama's six numbers: counts in tokens, durations in ns."""
    evaluated = usage.get("completion_tokens", 0)
    evaluation_ns = _to_ns(usage.get("total_completion_time_sec", 0.0))
    return {
        "total_duration": at.elapsed_ns,
        "load_duration": load_ns,
        "prompt_eval_count": usage.get("prompt_tokens", 0),
        "prompt_eval_duration": _to_ns(usage.get("total_prompt_time_sec", 0.0)),
        "eval_count": evaluated,
        # The engine reports whole milliseconds, so this may be 0; clients divide by it.
        "eval_duration": max(evaluation_ns, 1) if evaluated else evaluation_ns,
    }


def _to_ns(seconds: float) -> int:
    return max(round(seconds * NS_PER_SECOND), 0)


def to_ollama_tool_calls(calls: list[ToolCallDelta]) -> list[JsonObject]:
    """Translate whole tool calls: arguments become objects, and positions become indexes.

    Raises:
        EngineProtocolError: There are too many calls, or arguments that aren't a JSON object.
    """
    check_tool_calls(len(calls))
    return [_tool_call(call, position) for position, call in enumerate(calls)]


def check_tool_calls(number: int) -> None:
    """Check how many tool calls a reply has.

    Raises:
        EngineProtocolError: There are too many.
    """
    if number > _MAX_TOOL_CALLS:
        raise EngineProtocolError(f"the model wrote more than {_MAX_TOOL_CALLS} tool calls")


def _tool_call(call: ToolCallDelta, position: int) -> JsonObject:
    function = call.get("function", {})
    translated: JsonObject = {
        "function": {
            "index": position,
            "name": function.get("name", ""),
            "arguments": arguments_of(function.get("arguments") or "{}"),
        }
    }
    return {"id": call["id"]} | translated if call.get("id") else translated


def arguments_of(text: str) -> JsonObject:
    """Decode the arguments of a tool call.

    Raises:
        EngineProtocolError: They aren't a JSON object.
    """
    try:
        arguments = decode_reply(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise EngineProtocolError("the model wrote tool arguments that aren't JSON") from error
    if not isinstance(arguments, dict):
        raise EngineProtocolError("the model wrote tool arguments that aren't a JSON object")
    return cast("JsonObject", arguments)


def _logprobs_part(choice: Choice, top_logprobs: int) -> JsonObject:
    entries = to_ollama_logprobs(choice.get("logprobs"), top_logprobs)
    return {"logprobs": entries} if entries else {}


def to_ollama_logprobs(source: JsonObject | None, top_logprobs: int) -> list[JsonObject]:
    """Translate logprobs, which the engine sends as one object in streams and as a list otherwise.

    In the engine's inner list ``token`` is a number and ``bytes`` the text. In Ollama's, ``token``
    is the text and ``bytes`` its UTF-8 bytes as integers.
    """
    if not source:
        return []
    entries = cast("list[JsonObject]", source.get("content") or [source])
    return [_logprob(entry, top_logprobs) for entry in entries if "logprob" in entry]


def _logprob(entry: JsonObject, top_logprobs: int) -> JsonObject:
    translated = _token_logprob(entry)
    if top_logprobs:
        alternatives = cast("list[JsonObject]", entry.get("top_logprobs") or [])
        translated["top_logprobs"] = tuple(map(_token_logprob, alternatives[:top_logprobs]))
    return translated


def _token_logprob(entry: JsonObject) -> JsonObject:
    token, text = entry.get("token"), entry.get("bytes")
    if not isinstance(token, str):
        token = text if isinstance(text, str) else ""
    return {"token": token, "logprob": entry["logprob"], "bytes": tuple(token.encode())}
