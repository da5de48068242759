"""Chat requests, from Ollama's shape to the engine's."""

import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from proxy_service.errors import InvalidRequest
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.requests import to_engine_chat, to_engine_format
from proxy_service.wire.ollama import parse_chat

CHAT_FIELDS = (
    *("model", "messages", "stream", "options", "format", "think", "tools", "role", "content"),
    *("images", "tool_calls", "function", "arguments", "keep_alive", "logprobs", "top_logprobs"),
)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(CHAT_FIELDS),
                inner,
                max_size=6,
            )
        ),
        max_leaves=20,
    )
)
def test_any_json_is_a_request_or_a_refusal(value: object) -> None:
    """With wrong types in all fields; accepted requests become JSON for the engine."""
    with suppress(InvalidRequest):
        request = parse_chat(json.dumps(value).encode())
        wanted = to_engine_format(request.common.format)
        json.dumps(to_engine_chat(request, EngineModel("m"), wanted), allow_nan=False)
