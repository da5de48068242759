"""The decoder of server-sent events, for any split and any line ending."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.errors import EngineProtocolError
from proxy_service.streaming.sse import MAX_EVENT_BYTES, Event, SSEDecoder

BODY = (
    b"\xef\xbb\xbf: keep-alive\n\n"
    b'data: {"a":"\xf0\x9f\x98\x80 \xe2\x80\xa8 \xc2\x85"}\n\n'
    b"event: named\ndata:no space\n\n"
    b"data: one\ndata: two\nid: 7\nretry: 10\n\n"
    b"data\n\n"
    b"data: [DONE]\n\n"
)
EVENTS = [
    Event(b"", '{"a":"\N{GRINNING FACE} \u2028 \x85"}'.encode()),
    Event(b"named", b"no space"),
    Event(b"", b"one\ntwo"),
    Event(b"", b""),
    Event(b"", b"[DONE]"),
]
ENDINGS = pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])


def decode(*pieces: bytes) -> list[Event]:
    decoder = SSEDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


@ENDINGS
def test_every_split_in_two_gives_the_same_events(ending: bytes) -> None:
    """At each position of the body, with any line ending."""
    body = BODY.replace(b"\n", ending)
    for at in range(len(body) + 1):
        assert decode(body[:at], body[at:]) == EVENTS


@ENDINGS
def test_byte_by_byte_gives_the_same_events(ending: bytes) -> None:
    body = BODY.replace(b"\n", ending)
    assert decode(*(body[i : i + 1] for i in range(len(body)))) == EVENTS


@given(
    texts=st.lists(st.text(), max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=2000), max_size=12),
)
def test_any_text_survives_any_splits(texts: list[str], cuts: list[int]) -> None:
    """JSON of any text, split anywhere, is unchanged."""
    payloads = [json.dumps(text, ensure_ascii=False).encode("utf-8", "replace") for text in texts]
    body = b"".join(b"data: " + payload + b"\n\n" for payload in payloads)
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]

    assert [event.data for event in decode(*pieces)] == payloads


def test_a_missing_blank_line_at_the_end_loses_nothing() -> None:
    """Some servers close the stream right after the last line."""
    assert decode(b"data: a\n\ndata: b") == [Event(b"", b"a"), Event(b"", b"b")]


def test_an_event_name_applies_to_its_event_only() -> None:
    """Even if that event has no data."""
    assert decode(b"event: x\n\ndata: a\n\n") == [Event(b"", b"a")]


def test_a_long_event_in_small_pieces_is_read_in_linear_time() -> None:
    """Or this test takes minutes."""
    decoder = SSEDecoder()
    decoder.feed(b"data: ")
    for _ in range(80_000):
        decoder.feed(b"x" * 200)
    assert decoder.held == len(b"data: ") + 80_000 * 200

    (event,) = decoder.feed(b"\n\n")
    assert len(event.data) == 80_000 * 200
    assert decoder.held == 0


def test_an_endless_event_is_refused() -> None:
    """So that the decoder's memory is limited."""
    decoder = SSEDecoder()
    piece = b"data: " + b"x" * (1024 * 1024)

    def feed_forever() -> None:
        for _ in range(MAX_EVENT_BYTES // len(piece) + 2):
            decoder.feed(piece)

    with pytest.raises(EngineProtocolError):
        feed_forever()
