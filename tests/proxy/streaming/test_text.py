"""Text that is held back because it may be the beginning of a stop string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.streaming.text import TextBuffer

# Few letters, so that strings overlap themselves and each other.
LETTERS = st.sampled_from("ab") | st.sampled_from("abc\u00e9\U0001f600")
STOPS = st.lists(st.text(LETTERS, min_size=1, max_size=6), min_size=1, max_size=5).map(tuple)
PIECES = st.lists(st.text(LETTERS, max_size=5), max_size=20)


def until_stop(text: str, stops: tuple[str, ...]) -> str:
    """Return the text up to the stop string that is complete first."""
    for end in range(len(text) + 1):
        for stop in sorted(stops, key=len):
            if text[:end].endswith(stop):
                return text[: end - len(stop)]
    return text


@given(STOPS, PIECES)
def test_text_ends_at_the_first_complete_stop_string_however_it_is_split(
    stops: tuple[str, ...], pieces: list[str]
) -> None:
    buffer = TextBuffer(stops)
    text = "".join(map(buffer.feed, pieces)) + buffer.flush()

    assert text == until_stop("".join(pieces), stops)
    assert buffer.stopped == (text != "".join(pieces))


@given(STOPS, PIECES)
def test_no_more_is_held_back_than_may_be_the_beginning_of_a_stop_string(
    stops: tuple[str, ...], pieces: list[str]
) -> None:
    buffer = TextBuffer(stops)
    received = released = ""
    for piece in pieces:
        received += piece
        released += buffer.feed(piece)
        held = received.removeprefix(released)
        if buffer.stopped:
            break
        assert not held or any(stop.startswith(held) for stop in stops)


@pytest.mark.parametrize(
    ("stops", "pieces", "text"),
    [
        (("abcd", "bc"), ["abcd"], "a"),
        (("abcd", "bc"), ["ab", "cd"], "a"),
        (("aab", "aac"), ["aaaa", "d"], "aaaad"),
        (("\ud83d\ude00",), ["a\ud83d", "\ude00"], "a"),
        (("x",), ["a\ud83d", "\ude00b"], "a\U0001f600b"),
    ],
)
def test_strings_that_overlap(stops: tuple[str, ...], pieces: list[str], text: str) -> None:
    buffer = TextBuffer(stops)

    assert "".join(map(buffer.feed, pieces)) + buffer.flush() == text
