"""Generate's context: any conversation survives it, and any other list is ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.translate.context import MAX_CONTEXT_BYTES, decode_turns, encode_turns


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text()), max_size=5))
def test_turns_survive_the_context(turns: list[tuple[str, str]]) -> None:
    assert decode_turns(tuple(encode_turns(turns))) == turns


@given(st.lists(st.integers(min_value=-(2**40), max_value=2**40), max_size=20))
def test_any_other_context_has_no_turns(numbers: list[int]) -> None:
    assert decode_turns(tuple(numbers)) == []
    assert decode_turns((0x7EC0DE, *numbers)) == []


def test_a_deeply_nested_context_has_no_turns() -> None:
    """Clients can write the mark too, and after it JSON that overflows a decoder's stack."""
    mark, *_ = encode_turns([])

    assert decode_turns((mark, *[int.from_bytes(b"[[[")] * 5000)) == []


@pytest.mark.parametrize(("character", "written"), [("x", 1), ("\u00e4", len(r"\u00e4"))])
def test_a_long_conversation_has_no_context(character: str, written: int) -> None:
    """The longest that has one survives."""
    overhead = len('[["user",""]]')
    longest = (MAX_CONTEXT_BYTES - overhead) // written
    turns = [("user", character * longest)]

    assert decode_turns(tuple(encode_turns(turns))) == turns
    assert encode_turns([("user", character * (longest + 1))]) == []
    assert encode_turns([("user", character * 10_000_000)]) == []


def test_a_context_longer_than_any_that_was_sent_is_ignored() -> None:
    mark, *_ = encode_turns([])
    longer = b'[["user","' + b"x" * (MAX_CONTEXT_BYTES + 3) + b'"]]'
    numbers = [int.from_bytes(longer[i : i + 3], "big") for i in range(0, len(longer), 3)]

    assert decode_turns((mark, *numbers)) == []
