"""Inputs for the fuzzers: nearly valid request bodies, and malformed replies of the engine."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.proxy.scripted_engine import DONE, MODEL, Reply, Step, Steps, delta_event, event

API = ("chat", "generate", "embed", "embeddings", "show", "pull", "push", "create", "copy")
OPENAI = ("chat/completions", "completions", "embeddings", "responses", "messages")
PATHS = tuple(f"/api/{name}" for name in API) + tuple(f"/v1/{name}" for name in OPENAI)

FIELDS = (
    *("model", "name", "source", "messages", "prompt", "input", "stream", "format", "options"),
    *("think", "keep_alive", "logprobs", "top_logprobs", "truncate", "raw", "system", "suffix"),
    *("template", "context", "images", "tools", "dimensions", "MODEL", "role", "content"),
    *("tool_calls", "function", "arguments", "thinking", "tool_name", "tool_call_id", "stop"),
    *("temperature", "num_predict", "top_k", "seed", "verbose"),
    # Of Anthropic's messages and OpenAI's responses.
    *("max_tokens", "stop_sequences", "tool_choice", "output_config", "type", "text", "source"),
    *("tool_use_id", "id", "instructions", "reasoning", "call_id", "output", "summary", "include"),
)
_ROLES = ("user", "tool", "assistant", "system", "thinking", "developer", "control", "document 1")
_WORDS = st.sampled_from(
    [
        *(MODEL, *_ROLES, "json", "high", "5m", "-1", "", "x", "AAAA"),
        *("text", "image", "tool_use", "tool_result", "function", "custom", "any"),
        *("message", "input_text", "function_call", "function_call_output", "namespace"),
    ]
)
_TEXTS = _WORDS | st.text(max_size=12)
_NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 2**63, 10**400, 1e308])
_SCALARS = st.none() | st.booleans() | _NUMBERS | _TEXTS
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=12,
)
_VALID: dict[str, Any] = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "x"}],
    "max_tokens": 5,
    "prompt": "x",
    "input": ["x"],
    "source": MODEL,
}


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw a request body: nearly valid, any JSON, or JSON with damaged bytes."""
    changes = draw(st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=4))
    value = draw(st.just(_VALID | changes) | JSON_VALUES)
    body = json.dumps(value, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    at = draw(st.integers(0, len(body)))
    damage = draw(st.sampled_from([None, None, None, "cut", "insert", "repeat"]))
    if damage == "cut":
        return body[:at]
    if damage == "insert":
        return body[:at] + draw(st.binary(max_size=4)) + body[at:]
    return body[:at] * 3 + body[at:] if damage == "repeat" else body


HEADERS = st.dictionaries(
    st.sampled_from(
        ["Origin", "Content-Encoding", "X-Request-ID", "Accept", "Authorization", "Expect"]
    ),
    st.sampled_from(["zstd", "gzip"])
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip),
    max_size=2,
)

_KEYS = st.sampled_from(
    [
        *("choices", "delta", "content", "finish_reason", "usage", "prompt_tokens", "message"),
        *("completion_tokens", "tool_calls", "function", "arguments", "name", "index", "data"),
        *("reasoning_content", "logprobs", "top_logprobs", "token", "bytes", "error", "embedding"),
        *("reasoning", "text", "response", "total_prompt_time_sec", "id", "type", "role"),
    ]
)
_ENGINE_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS | st.sampled_from(["stop", "length", "tool_calls", "error", "{}", '{"a":1}', "NaN"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=10,
)
_CHOICE = st.fixed_dictionaries({}, optional={"delta": _ENGINE_VALUES, "message": _ENGINE_VALUES})
_COMPLETION = st.fixed_dictionaries(
    {"choices": st.lists(_CHOICE | _ENGINE_VALUES, max_size=2)},
    optional={"usage": _ENGINE_VALUES, "data": _ENGINE_VALUES},
)


def _events() -> st.SearchStrategy[bytes]:
    valid = st.sampled_from(
        [delta_event("a"), delta_event("b", finish="stop"), DONE, b": ping\n\n", b"\n"]
    )
    malformed = (_COMPLETION | _ENGINE_VALUES).map(event) | st.binary(max_size=20)
    return valid | malformed


@st.composite
def engine_replies(draw: st.DrawFn) -> Reply:
    """Draw a reply of the engine: events or a body, valid or not, complete or cut off."""
    events = draw(st.lists(_events(), max_size=6))
    data = b"".join(events)
    cut = draw(st.integers(0, len(data)))
    if draw(st.booleans()):
        value = draw(_COMPLETION | _ENGINE_VALUES)
        data = draw(st.just(json.dumps(value).encode()) | st.just(data) | st.binary(max_size=30))
        events, cut = [], len(data)
    ends: Steps = draw(st.sampled_from([(), (), (), (Step.CUT,), (Step.RESET,)]))
    return Reply(
        tuple(part for part in (data[:cut], data[cut:]) if part) + ends,
        status=draw(st.sampled_from([200, 200, 200, 200, 400, 404, 422, 500, 503])),
        content_type=draw(
            st.sampled_from(["text/event-stream", "text/event-stream", "application/json", "x"])
        ),
    )
