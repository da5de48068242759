"""The parser of the engine's replies, without a socket."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.engines.reply import MAX_HEAD_BYTES, ReplyReader
from proxy_service.errors import EngineProtocolError

HEAD = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BODIES = {
    "chunked": CHUNKED + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"7\r\nabcdefg\r\n0\r\nContent-Type: no/one\r\n\r\n",
    "length": HEAD + b"Content-Length: 7\r\n\r\nabcdefg",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 7\r\n\r\nabcdefg",
}
ANY_FRAMING = pytest.mark.parametrize("reply", BODIES.values(), ids=BODIES)


def read(*pieces: bytes) -> tuple[ReplyReader, bytes]:
    reader = ReplyReader()
    body = b""
    for piece in pieces:
        reader.feed(piece)
        body += reader.take()
    return reader, body


@ANY_FRAMING
def test_every_split_in_two_gives_the_same_reply(reply: bytes) -> None:
    """At each byte, for each framing of the body."""
    for at in range(len(reply) + 1):
        reader, body = read(reply[:at], reply[at:])
        assert (reader.status, reader.content_type, body) == (200, "text/event-stream", b"abcdefg")
        assert reader.complete
        assert reader.reusable


@given(
    parts=st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=800), max_size=12),
)
def test_any_transfer_chunks_survive_any_splits(parts: list[bytes], cuts: list[int]) -> None:
    """Chunked coding adds nothing and removes nothing."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    reply = CHUNKED + framed
    edges = [0, *sorted(min(cut, len(reply)) for cut in cuts), len(reply)]

    reader, body = read(*(reply[a:b] for a, b in itertools.pairwise(edges)))

    assert body == b"".join(parts)
    assert reader.complete


@ANY_FRAMING
def test_one_reader_serves_one_reply_after_another(reply: bytes) -> None:
    """Keep-alive connections need this."""
    reader, _ = read(reply)
    reader.begin()
    assert reader.untouched
    reader.feed(reply)

    assert reader.take() == b"abcdefg"
    assert reader.complete


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_without_length_or_chunked_coding_the_body_ends_with_the_connection(version: bytes) -> None:
    """And the connection can't be reused."""
    reader, body = read(b"HTTP/" + version + b" 200 OK\r\n\r\nabc")
    assert not reader.complete
    reader.close()

    assert body == b"abc"
    assert reader.complete
    assert not reader.reusable


def test_connection_close_is_respected() -> None:
    """The reply is complete, but the connection isn't kept."""
    reader, _ = read(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na")

    assert reader.complete
    assert not reader.reusable


@pytest.mark.parametrize("reply", [BODIES["chunked"], BODIES["length"]], ids=["chunks", "length"])
def test_an_early_end_is_an_error_at_every_byte(reply: bytes) -> None:
    """It is never mistaken for the end of a body."""
    for at in range(len(reply)):
        reader, _ = read(reply[:at])
        with pytest.raises(EngineProtocolError):
            reader.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"1\r\nab\r\n",
    ],
)
def test_what_is_not_http_is_an_error(reply: bytes) -> None:
    """Web pages, TLS, broken framing: the error says what to check."""
    with pytest.raises(EngineProtocolError, match="MISTRAL_URL"):
        read(reply)


def test_data_before_garbage_can_still_be_taken() -> None:
    """The client gets it before the error."""
    reader = ReplyReader()
    with pytest.raises(EngineProtocolError):
        reader.feed(CHUNKED + b"3\r\nabc\r\nzz\r\n")

    assert reader.take() == b"abc"


@pytest.mark.parametrize("surplus", [b"x", BODIES["length"]], ids=["garbage", "second reply"])
def test_bytes_after_a_complete_reply_only_end_the_connection(surplus: bytes) -> None:
    """No request asked for them, so nothing after them can be trusted."""
    reader, body = read(BODIES["length"] + surplus)

    assert body == b"abcdefg"
    assert reader.complete
    assert not reader.reusable


@pytest.mark.parametrize("size", [1000, MAX_HEAD_BYTES], ids=["many reads", "few reads"])
def test_a_head_without_end_is_refused(size: int) -> None:
    """So that the reader's memory is limited."""
    reader = ReplyReader()
    reader.feed(HEAD + b"X: ")

    def feed_forever() -> None:
        for _ in range(MAX_HEAD_BYTES // size + 1):
            reader.feed(b"x" * size)

    with pytest.raises(EngineProtocolError, match="head"):
        feed_forever()


def test_a_status_without_body_is_complete_with_its_head() -> None:
    """A 204 has none, whatever its headers say."""
    reader, body = read(b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n")

    assert reader.complete
    assert body == b""


@pytest.mark.parametrize("more", [b"X: ", b"1;"])
def test_what_adds_nothing_to_the_body_has_a_limit(more: bytes) -> None:
    """A trailer, or an extension of a transfer chunk."""
    reader, _ = read(CHUNKED + b"3\r\nabc\r\n" + (b"0\r\n" if more == b"X: " else b"") + more)

    def feed_forever() -> None:
        for _ in range(20):
            reader.feed(b"y" * 64 * 1024)

    with pytest.raises(EngineProtocolError):
        feed_forever()
