"""The engine's bodies, limited to what the proxy reads (Mistral.rs's OpenAI-compatible API)."""

from typing import TypedDict

import msgspec

from proxy_service.wire import JsonObject


class Usage(TypedDict, total=False):
    """Counts in tokens, and times in seconds with three decimals, without time in a queue."""

    prompt_tokens: int
    completion_tokens: int
    total_prompt_time_sec: float
    total_completion_time_sec: float


class FunctionCall(TypedDict, total=False):
    """A function's name and arguments; ``arguments`` is JSON in a string."""

    name: str
    arguments: str


class ToolCallDelta(TypedDict, total=False):
    """A tool call, whole or in pieces that share an index."""

    index: int
    id: str
    type: str
    function: FunctionCall


class Delta(TypedDict, total=False):
    """What one event adds to the message; the reasoning has one of two names."""

    role: str
    content: str | None
    reasoning_content: str | None
    reasoning: str | None
    tool_calls: list[ToolCallDelta] | None


class Choice(TypedDict, total=False):
    """One choice: ``delta`` in a chat stream, ``message`` in a whole reply, ``text`` if raw."""

    index: int
    delta: Delta
    message: Delta
    text: str
    finish_reason: str | None
    logprobs: JsonObject | None


class Completion(TypedDict, total=False):
    """An event of a stream, or a whole reply; with ``error``, there are no other fields."""

    choices: list[Choice]
    usage: Usage | None
    error: JsonObject


class EmbeddingItem(msgspec.Struct):
    """One vector; ``index`` is the position of its input in the request."""

    index: int
    embedding: list[float]


class EmbeddingReply(msgspec.Struct):
    """Body of the reply to ``POST /v1/embeddings``; each of ``data`` is an `EmbeddingItem`.

    They stay JSON at first, because reading thousands of vectors at once would take seconds.
    """

    data: list[msgspec.Raw]
    usage: object = None


class ModelEntry(TypedDict, total=False):
    """One element of ``GET /v1/models``.

    ``created`` is Unix seconds. ``root`` and ``parent`` of a LoRA adapter are its own name and the
    id of its base model, as in Mistral.rs and vLLM. Not every engine sends the last seven: the
    context length in tokens, the sizes in bytes, the objects ``details``, ``parameters`` and
    ``model_info`` with the fields and options of Ollama's API, and the chat template.
    """

    id: str
    created: int
    status: str
    root: object
    parent: object
    max_model_len: object
    size: object
    size_vram: object
    details: object
    parameters: object
    model_info: object
    template: object


class ModelList(TypedDict):
    """Body of the reply to ``GET /v1/models``."""

    data: list[ModelEntry]
