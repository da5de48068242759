"""Ollama's request bodies: parsed, or refused with an error."""

import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_service.errors import InvalidRequest
from proxy_service.wire.ollama import (
    MAX_MESSAGES,
    MAX_TOOL_CALLS,
    MAX_TOOLS,
    Message,
    parse_chat,
    parse_keep_alive,
)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (5, 5),
        (0, 0),
        (-1, float("inf")),
        ("0", 0),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("-1m", float("inf")),
        ("100ms", 0.1),
    ],
)
def test_keep_alive_is_seconds(value: object, seconds: float | None) -> None:
    assert parse_keep_alive(value) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("value", ["", "m", "5 m", "5x", "1m5", True, [], {}])
def test_other_keep_alives_are_refused(value: object) -> None:
    with pytest.raises(InvalidRequest):
        parse_keep_alive(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_refusal(body: bytes) -> None:
    """There is never another exception."""
    with suppress(InvalidRequest):
        parse_chat(body)


KEYS = st.sampled_from(
    ["role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"]
)
ODD_KEYS = st.sampled_from(["Role", "CONTENT", "else", ""])
CALLS = st.sampled_from(
    [
        {"id": "1", "function": {"name": "f", "arguments": {"x": 1}}},
        {"id": "1", "name": "f", "arguments": {}},
        {},
        "f",
    ]
)
FIELDS: st.SearchStrategy[object] = (
    st.sampled_from(["user", "assistant", "User", "tool", ""])
    | st.lists(st.sampled_from(["aGk=", ""]) | st.none(), max_size=2)
    | st.lists(CALLS, max_size=2)
    | st.sampled_from([None, True, 1, 1.0, {}])
)
HISTORIES = st.lists(
    st.dictionaries(KEYS | ODD_KEYS, FIELDS, max_size=4)
    | st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]), "content": st.text(max_size=5)}
    )
    | FIELDS,
    max_size=4,
)
# One message that can't be read together with others, so that all are read one by one.
ODD_MESSAGE = {"role": "user", "content": "", "else": 1}


def messages_or_error(items: list[object]) -> tuple[Message, ...] | str:
    """Return the messages of a chat request, or the text of the error."""
    try:
        return parse_chat(json.dumps({"messages": items}).encode()).messages
    except InvalidRequest as error:
        return error.message


@given(HISTORIES)
@example([{"role": "user", "content": "a", "images": ["aGk="]}])
@example(
    [{"role": "user", "content": "a", "tool_calls": [{"id": "", "name": "", "arguments": {}}]}]
)
def test_messages_read_together_equal_those_read_one_by_one(items: list[object]) -> None:
    """Invalid ones are refused with the same text."""
    one_by_one = messages_or_error([*items, ODD_MESSAGE])
    if isinstance(one_by_one, tuple):
        one_by_one = one_by_one[:-1]

    assert messages_or_error(items) == one_by_one


CALL = {"function": {"name": "f", "arguments": {}}}


@pytest.mark.parametrize(
    ("field", "items", "reason"),
    [
        ("messages", [{}] * (MAX_MESSAGES + 1), "at most 10000 messages"),
        ("tools", [{}] * (MAX_TOOLS + 1), "at most 5000 tools"),
        ("messages", [{"tool_calls": [CALL] * (MAX_TOOL_CALLS + 1)}], "at most 5000 tool_calls"),
        (
            "messages",
            [{"tool_calls": [CALL] * (MAX_TOOL_CALLS // 2)}] * 2 + [{"tool_calls": [CALL]}],
            "at most 5000 tool_calls",
        ),
    ],
)
def test_the_items_of_a_chat_are_limited(field: str, items: list[object], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        parse_chat(json.dumps({field: items}, separators=(",", "  :  ")).encode())
    fewer: dict[str, list[object]] = {"messages": [{}] * MAX_MESSAGES, "tools": [{}] * MAX_TOOLS}
    assert len(parse_chat(json.dumps(fewer).encode()).messages) == MAX_MESSAGES
