"""Generate's context: any conversation survives it, and any other list is ignored."""

from hypothesis import given
from hypothesis import strategies as st

from proxy_service.translate.context import decode_turns, encode_turns


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
