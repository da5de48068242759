"""Reply bodies, built from the wheel's stream.

The wheel's calls that don't stream block the whole engine until they end. So every request is
streamed from it, and a reply in one piece is put together here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from embedded_engine.errors import RefusedRequestError
from embedded_engine.wire.bodies import DEFAULT_MODEL_NAME, JsonObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mistralrs import ChatCompletionChunkResponse as Chunk
    from mistralrs import ResponseLogprob, ToolCallResponse, Usage

    from embedded_engine.errors import RequestError

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b":\n\n"

_USAGE_FIELDS = (
    "completion_tokens",
    "prompt_tokens",
    "total_tokens",
    "avg_tok_per_sec",
    "avg_prompt_tok_per_sec",
    "avg_compl_tok_per_sec",
    "total_time_sec",
    "total_prompt_time_sec",
    "total_completion_time_sec",
)


def event(value: Mapping[str, Any]) -> bytes:
    """Write a JSON value as one server-sent event."""
    return b"data: " + msgspec.json.encode(value) + b"\n\n"


def error_event(error: RequestError) -> bytes:
    """Write the event of a request that failed after its stream began.

    Its shape is the real server's (0.9); the real server's type is `server_error` in any case.
    """
    return event({"error": error_body(error) | {"param": None, "code": None}})


def error_body(error: RequestError) -> JsonObject:
    """Return the body of a whole reply to a request that failed.

    The real server sends the message alone. OpenAI's ``type`` says whose fault it is.
    """
    kind = "invalid_request_error" if isinstance(error, RefusedRequestError) else "server_error"
    return {"message": str(error), "type": kind}


def models_body(  # noqa: PLR0913 - each is a fact of its own
    model_id: str,
    created: int,
    *,
    context_length: int | None = None,
    size_bytes: int | None = None,
    details: JsonObject | None = None,
    parameters: Mapping[str, float] | None = None,
    info: JsonObject | None = None,
    template: str = "",
) -> JsonObject:
    """Return the body of `GET /v1/models`: the alias `default` and the only model.

    The real server doesn't report the last six, nor that no memory of a GPU is used. The context
    length has vLLM's name for it; the others have Ollama's.
    """
    common = {"object": "model", "created": created, "owned_by": "local"}
    extra = {
        "max_model_len": context_length,
        "size": size_bytes,
        "details": details,
        "parameters": parameters,
        "model_info": info,
        "template": template,
    }
    known = {name: value for name, value in extra.items() if value} | {"size_vram": 0}
    return {
        "object": "list",
        "data": [
            {"id": DEFAULT_MODEL_NAME, **common, "root": DEFAULT_MODEL_NAME},
            {"id": model_id, **common, "root": model_id, "status": "loaded", **known},
        ],
    }


def unknown_model_message(name: str, model_id: str) -> str:
    """Return the real server's text for a model that it doesn't have."""
    return (
        f"Requested model '{name}' is not available. Available models: {model_id}. "
        "Use 'default' to use the default model."
    )


def chat_chunk(chunk: Chunk, *, model_id: str, index: int, one_call: bool = False) -> JsonObject:
    """Translate a chunk of a chat stream; `index` is the number of its choice.

    With ``one_call``, only the first of several tool calls is passed on. They come in one chunk.
    """
    choices = [
        {
            "finish_reason": choice.finish_reason,
            "index": index,
            "delta": _message(
                choice.delta.content,
                _calls(choice.delta.tool_calls, one_call=one_call),
                choice.delta.reasoning_content,
            ),
            "logprobs": choice.logprobs and _logprob(choice.logprobs),
        }
        for choice in chunk.choices
    ]
    usage = chunk.usage and _usage(chunk.usage)
    return _head(chunk, "chat.completion.chunk", model_id, choices) | {"usage": usage}


class UsageLast:
    """Translates the chunks of a stream; their usage comes in a chunk of its own after the last.

    That is how OpenAI's API has it if ``stream_options.include_usage`` is true.
    """

    def __init__(self, to_chunk: Callable[..., JsonObject]) -> None:
        self._to_chunk = to_chunk
        self._usages: list[Usage] = []
        self._head: JsonObject = {}

    def __call__(self, chunk: Chunk, *, index: int) -> JsonObject:
        """Translate a chunk, without its usage."""
        if chunk.usage is not None:
            self._usages.append(chunk.usage)
        self._head = self._to_chunk(chunk, index=index)
        return self._head | {"usage": None}

    def last(self) -> JsonObject:
        """Return the chunk with the usage of all choices."""
        return self._head | {"choices": [], "usage": _total_usage(self._usages)}


def completion_chunk(chunk: Chunk, *, model_id: str, index: int) -> JsonObject:
    """Translate a chunk of a completion stream; as in the real server, it has no usage."""
    choices = [
        {
            "text": (choice.delta.reasoning_content or "") + (choice.delta.content or ""),
            "index": index,
            "logprobs": choice.logprobs and _logprob(choice.logprobs),
            "finish_reason": choice.finish_reason,
        }
        for choice in chunk.choices
    ]
    return _head(chunk, "text_completion", model_id, choices)


@dataclass(slots=True)
class Transcript:
    """The chunks of one choice's stream so far, joined."""

    content: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    tool_calls: list[ToolCallResponse] = field(default_factory=list)
    logprobs: list[ResponseLogprob] = field(default_factory=list)
    last: Chunk | None = None
    finish_reason: str | None = None
    usage: Usage | None = None

    def add(self, chunk: Chunk) -> None:
        """Add the next chunk."""
        self.last = chunk
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            self.content.append(choice.delta.content or "")
            self.reasoning.append(choice.delta.reasoning_content or "")
            self.tool_calls.extend(choice.delta.tool_calls or [])
            if choice.logprobs is not None:
                self.logprobs.append(choice.logprobs)
            self.finish_reason = choice.finish_reason or self.finish_reason


def chat_body(
    transcripts: Sequence[Transcript], *, model_id: str, one_call: bool = False
) -> JsonObject:
    """Build a chat reply in one piece, with one choice per finished transcript."""
    choices = [
        {
            "finish_reason": transcript.finish_reason,
            "index": index,
            "message": _message(
                "".join(transcript.content) or (None if transcript.tool_calls else ""),
                _calls(transcript.tool_calls, one_call=one_call),
                "".join(transcript.reasoning),
            ),
            "logprobs": _logprobs(transcript),
        }
        for index, transcript in enumerate(transcripts)
    ]
    return _body(transcripts, "chat.completion", model_id, choices)


def completion_body(transcripts: Sequence[Transcript], *, model_id: str, echo: str) -> JsonObject:
    """Build a completion in one piece; `echo` is put before each text."""
    choices = [
        {
            "finish_reason": transcript.finish_reason,
            "index": index,
            "text": echo + "".join(transcript.reasoning) + "".join(transcript.content),
            "logprobs": _logprobs(transcript),
        }
        for index, transcript in enumerate(transcripts)
    ]
    return _body(transcripts, "text_completion", model_id, choices)


def _body(
    transcripts: Sequence[Transcript], kind: str, model_id: str, choices: list[JsonObject]
) -> JsonObject:
    last = transcripts[-1].last
    if last is None:
        raise ValueError("the engine ended a reply without a chunk")
    usages = [transcript.usage for transcript in transcripts if transcript.usage is not None]
    return _head(last, kind, model_id, choices) | {"usage": _total_usage(usages)}


def _head(chunk: Chunk, kind: str, model_id: str, choices: list[JsonObject]) -> JsonObject:
    return {
        "id": chunk.id,
        "choices": choices,
        "created": chunk.created,
        "model": model_id,
        "system_fingerprint": chunk.system_fingerprint,
        "object": kind,
    }


def _message(
    content: str | None, tool_calls: Sequence[ToolCallResponse] | None, reasoning: str | None
) -> JsonObject:
    message: JsonObject = {
        "content": content,
        "role": "assistant",
        "tool_calls": [_tool_call(call) for call in tool_calls] if tool_calls else None,
    }
    return message | {"reasoning_content": reasoning} if reasoning else message


def _calls(
    calls: Sequence[ToolCallResponse] | None, *, one_call: bool
) -> Sequence[ToolCallResponse]:
    return (calls or [])[: 1 if one_call else None]


def _tool_call(call: ToolCallResponse) -> JsonObject:
    return {
        "index": call.index,
        "id": call.id,
        "type": "function",
        "function": {"name": call.function.name, "arguments": call.function.arguments},
    }


def _logprobs(transcript: Transcript) -> JsonObject | None:
    if not transcript.logprobs:
        return None
    return {"content": [_logprob(logprob) for logprob in transcript.logprobs]}


def _logprob(logprob: ResponseLogprob) -> JsonObject:
    return {
        "token": logprob.token,
        "logprob": logprob.logprob,
        "bytes": None if logprob.bytes is None else list(logprob.bytes),
        # As in the real server: here `token` is the number and `bytes` the text.
        "top_logprobs": [
            {"token": top.token, "logprob": top.logprob, "bytes": top.bytes}
            for top in logprob.top_logprobs
        ],
    }


def _usage(usage: Usage) -> JsonObject:
    return {name: getattr(usage, name) for name in _USAGE_FIELDS}


def _total_usage(usages: Sequence[Usage]) -> JsonObject | None:
    """Add up the usage of all choices: the prompt counts once, rates are the last choice's."""
    if not usages:
        return None
    last = usages[-1]
    completion = sum(usage.completion_tokens for usage in usages)
    counts = {"completion_tokens": completion, "total_tokens": last.prompt_tokens + completion}
    return _usage(last) | counts
