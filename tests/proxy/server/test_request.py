"""The parser of clients' requests, without a socket."""

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.clock import SystemClock
from proxy_service.server.budgets import BodyBudget, HeadBudget
from proxy_service.server.request import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PATH_BYTES,
    MAX_PIPELINED,
    IncomingRequest,
    RequestReader,
)

LIMIT = 1000
POST = b"POST /api/chat HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
FRAMINGS = {
    "length": POST + b"Content-Length: 7\r\n\r\nabcdefg",
    "chunked": CHUNKED + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n",
    "trailer": CHUNKED + b"7\r\nabcdefg\r\n0\r\nHost: other\r\n\r\n",
    "offer of HTTP/2": POST + H2C + b"Content-Length: 7\r\n\r\nabcdefg",
    "offer of HTTP/2, chunked": (
        POST + H2C + b"Transfer-Encoding: chunked\r\n\r\n7\r\nabcdefg\r\n0\r\n\r\n"
    ),
}
ANY_FRAMING = pytest.mark.parametrize("request_bytes", FRAMINGS.values(), ids=FRAMINGS)


def new_reader(
    *, limit: int = LIMIT, bodies: BodyBudget | None = None, heads: HeadBudget | None = None
) -> RequestReader:
    return RequestReader(
        max_body_bytes=limit,
        bodies=bodies or BodyBudget(4 * limit, SystemClock()),
        heads=heads or HeadBudget(),
        wake=lambda: None,
    )


def read(*pieces: bytes) -> list[IncomingRequest]:
    reader = new_reader()
    for piece in pieces:
        reader.feed(piece)
    return list(reader.requests)


def failure_of(*pieces: bytes) -> tuple[int, str]:
    """Return the status and the text of the last request's failure."""
    failure = read(*pieces)[-1].failure
    assert failure is not None
    return failure.status, failure.message


@ANY_FRAMING
def test_every_split_in_two_gives_the_same_request(request_bytes: bytes) -> None:
    """At each byte, for each framing of the body."""
    for at in range(len(request_bytes) + 1):
        (request,) = read(request_bytes[:at], request_bytes[at:])
        assert (request.method, request.path, request.version) == ("POST", "/api/chat", "1.1")
        assert request.headers.getall("host") == ["x"]
        assert (request.complete, request.body) == (True, b"abcdefg")
        assert request.keep_alive
        assert request.failure is None


@given(
    parts=st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    cuts=st.lists(st.integers(min_value=0, max_value=1200), max_size=12),
)
def test_any_requests_survive_any_splits(parts: list[bytes], cuts: list[int]) -> None:
    """Pipelined requests, framed alternately by length and by chunked coding."""
    sent = b"".join(
        CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(part), part)
        if number % 2
        else POST + b"Content-Length: %d\r\n\r\n%b" % (len(part), part)
        for number, part in enumerate(parts)
    )
    edges = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]

    requests = read(*(sent[a:b] for a, b in itertools.pairwise(edges)))

    assert [request.body for request in requests] == parts
    assert all(request.complete and request.failure is None for request in requests)


@given(
    st.lists(
        st.sampled_from(
            [
                *(POST, H2C, CHUNKED, b"GET / HTTP/1.1\r\n", b"CONNECT x:1 HTTP/1.1\r\n", b"\r\n"),
                *(b"Host: y\r\n", b"Expect: x\r\n", b"Content-Length: 7\r\n\r\n", b"abcdefg"),
                *(
                    b"Content-Length: 9999\r\n",
                    b"Connection: close\r\n",
                    b"\xff",
                    b"\0",
                    b": ",
                    b" ",
                ),
                *(b"7\r\nabcdefg\r\n", b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n"),
            ]
        )
        | st.binary(max_size=20),
        max_size=12,
    )
)
def test_any_bytes_are_requests_or_a_failure(pieces: list[bytes]) -> None:
    """Nothing is raised, and only the last request can be incomplete."""
    *earlier, last = [*read(*pieces), IncomingRequest()]

    assert all(r.complete or r.failure is not None for r in earlier[:-1])
    assert not any(r.complete and r.failure is not None for r in earlier)
    assert not last.complete


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", id="CL+TE"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", id="TE+CL"),
        pytest.param(POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", id="two lengths"),
        pytest.param(POST + b"Content-Length: 1, 1\r\n\r\nx", id="list of lengths"),
        pytest.param(POST + b"Content-Length: +1\r\n\r\nx", id="signed length"),
        pytest.param(POST + b"Content-Length: \r\n\r\n", id="empty length"),
        pytest.param(POST + b"Content-Length: 9" + b"9" * 40 + b"\r\n\r\n", id="endless length"),
        pytest.param(POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", id="chunked not last"),
        pytest.param(POST + b"X: a\r\n b\r\n\r\n", id="folded line"),
        pytest.param(POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n", id="folded coding"),
        pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", id="bare line feeds"),
        pytest.param(POST + b"X: a\nY: b\r\n\r\n", id="one bare line feed"),
        pytest.param(POST + b"X: a\rY: b\r\n\r\n", id="lone carriage return"),
        pytest.param(POST + b"\n", id="half a blank line"),
        pytest.param(POST + b"X : a\r\n\r\n", id="space before the colon"),
        pytest.param(POST + b"X\r\n\r\n", id="no colon"),
        pytest.param(POST + b": a\r\n\r\n", id="no name"),
        pytest.param(POST + b"X\xe9: a\r\n\r\n", id="name beyond ASCII"),
        pytest.param(POST + b"X: a\0b\r\n\r\n", id="NUL in a value"),
        pytest.param(POST + b"X: a\x01b\r\n\r\n", id="control character in a value"),
        pytest.param(b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", id="unknown method"),
        pytest.param(b"get / HTTP/1.1\r\nHost: x\r\n\r\n", id="method in lower case"),
        pytest.param(b"GET chat HTTP/1.1\r\nHost: x\r\n\r\n", id="relative target"),
        pytest.param(b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", id="NUL in the target"),
        pytest.param(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", id="target beyond ASCII"),
        pytest.param(b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", id="space after the version"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no Host"),
        pytest.param(POST + b"Host: y\r\n\r\n", id="two Hosts"),
        pytest.param(CHUNKED + b"2\nab\n0\n\n", id="chunk with bare line feeds"),
        pytest.param(CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n", id="size with a prefix"),
        pytest.param(CHUNKED + b"-2\r\nab\r\n0\r\n\r\n", id="negative size"),
        pytest.param(CHUNKED + b"2 \r\nab\r\n0\r\n\r\n", id="size with a space"),
        pytest.param(CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", id="chunk longer than its size"),
        pytest.param(CHUNKED + b"f" * 17 + b"\r\n", id="endless size"),
        pytest.param(CHUNKED + b"2;a\nb\r\nab\r\n0\r\n\r\n", id="line feed in an extension"),
        pytest.param(CHUNKED + b"0\r\nContent-Length: 9\r\n\r\n", id="length as a trailer"),
    ],
)
def test_an_ambiguous_request_is_refused(broken: bytes) -> None:
    """It is the last request: a smuggled one may follow."""
    (request,) = read(broken + b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")

    assert request.failure is not None
    assert request.failure.status == 400
    assert not request.keep_alive
    assert not request.complete


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 505),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (POST + b"Expect: the-unexpected\r\n\r\n", 417),
        (POST + H2C + b"Expect: the-unexpected\r\n\r\n", 417),
        (POST + b"X: y\r\n" * MAX_HEADERS + b"\r\n", 431),
        (POST + b"X: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (POST + b"Content-Length: 1001\r\n\r\n", 413),
        (b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"y" * MAX_PATH_BYTES), 414),
    ],
)
def test_what_is_not_supported_has_a_status_of_its_own(head: bytes, status: int) -> None:
    assert failure_of(head)[0] == status


@pytest.mark.parametrize(
    ("begin", "more", "status"),
    [
        (POST + b"X: ", b"y", 431),
        (b"GET /", b"y", 431),
        (CHUNKED + b"1;", b"y", 431),
        (CHUNKED + b"0\r\nX: ", b"y", 431),
        (CHUNKED, b"9\r\nabcdefghi\r\n", 413),
    ],
    ids=["a header", "a target", "an extension", "a trailer", "a body"],
)
def test_nothing_can_be_endless(begin: bytes, more: bytes, status: int) -> None:
    """Only a limited part of it is read."""
    assert failure_of(begin, *[more * 10_000] * 80)[0] == status


def test_the_error_does_not_quote_the_request() -> None:
    _, text = failure_of(POST + b"Secret : a\r\n\r\n")

    assert text == "malformed HTTP request: Invalid header token"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/api/chat", "/api/chat"),
        (b"/api/chat?x=/y#z", "/api/chat"),
        (b"/a%2Fb%zz", "/a%2Fb%zz"),
        (b"/a#b", "/a"),
        (b"//host/a", "//host/a"),
        (b"http://host:1/a?b", "/a"),
        (b"http://host", "/"),
    ],
)
def test_the_path_ends_before_the_query(target: bytes, path: str) -> None:
    (request,) = read(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)

    assert request.path == path


def test_a_failure_only_affects_its_own_request() -> None:
    good = FRAMINGS["length"]

    first, second = read(good + b"rubbish" + good)

    assert (first.complete, first.failure) == (True, None)
    assert second.failure is not None


def test_many_offers_of_another_protocol_are_many_requests() -> None:
    """Each is parsed again without its offer, also if many arrive in one read."""
    offer = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"

    *served, refused = read(offer * 2000)

    assert [request.failure for request in served] == [None] * MAX_PIPELINED
    assert refused.failure is not None


def test_a_body_in_tiny_transfer_chunks_takes_little_more_memory_than_its_size() -> None:
    size = 200_000
    reader = new_reader(limit=size)
    reader.feed(CHUNKED)
    pieces = b"1\r\nx\r\n" * 1000
    tracemalloc.start()
    for _ in range(0, size, 1000):
        reader.feed(pieces)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    reader.feed(b"0\r\n\r\n")

    assert reader.requests[0].body == b"x" * size
    assert held < 2 * size


def test_a_refused_body_releases_its_budget() -> None:
    """At once, for requests that arrive at the same time."""
    bodies = BodyBudget(0, SystemClock(), small_limit_bytes=10)
    refused, served = (new_reader(limit=10, bodies=bodies) for _ in range(2))
    refused.feed(CHUNKED + b"8\r\n12345678\r\n")
    served.feed(CHUNKED + b"2\r\n12\r\n")
    refused.feed(b"1\r\n9\r\n")
    served.feed(b"8\r\n12345678\r\n0\r\n\r\n")

    assert "pending requests together are too large" in str(refused.requests[0].failure)
    assert served.requests[0].body == b"1212345678"


def test_bytes_after_a_last_request_are_ignored() -> None:
    last = POST + b"Connection: close\r\nContent-Length: 0\r\n\r\n"

    (request,) = read(last + b"rubbish", b"more of it")

    assert request.complete
    assert not request.keep_alive
    assert request.failure is None


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
def test_the_version_decides_whether_a_connection_is_kept(
    version: bytes, connection: bytes, *, kept: bool
) -> None:
    (request,) = read(b"GET / HTTP/%b\r\nHost: x\r\n%b\r\n" % (version, connection))

    assert request.keep_alive is kept


def test_fields_without_a_value_are_counted_as_they_arrive() -> None:
    """Their names alone cost nothing on the wire, and much in memory."""
    reader = new_reader()
    tracemalloc.start()
    reader.feed(POST)
    for _ in range(200):
        reader.feed(b"ab:\r\n" * 100)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    (request,) = reader.requests
    assert request.failure is not None
    assert request.failure.status == 431
    assert held < 64 * 1024


@pytest.mark.parametrize(
    "piece", [b"x" * 1000, b": " + b"x" * 1000, b"a: b\r\nX: " + b"x" * 990 + b"\r\n"]
)
def test_a_head_that_never_ends_is_refused_at_its_limit(piece: bytes) -> None:
    reader = new_reader()
    reader.feed(POST + b"X: ")
    sent = 0
    while not reader.requests:
        reader.feed(piece)
        sent += len(piece)

    assert failure_of(POST + b"X: ", *[piece] * (sent // len(piece)))[0] == 431
    assert sent <= MAX_HEAD_BYTES + len(piece)


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(POST + b"X: " + b"x" * 25_000, id="one unfinished head"),
        pytest.param((POST + b"X: " + b"x" * 5_000 + b"\r\n\r\n") * 5, id="complete heads"),
        pytest.param((POST + b"a:\r\n" * 90 + b"\r\n") * 3, id="tiny fields"),
    ],
)
def test_heads_have_a_limit_together_and_release_it(held: bytes) -> None:
    """What was received and what is kept of it takes memory, but ordinary heads always pass."""
    heads = HeadBudget(100_000)
    readers = [new_reader(heads=heads) for _ in range(100)]
    for reader in readers:
        reader.feed(held)
    refused = [reader for reader in readers if any(r.failure for r in reader.requests)]
    assert 90 < len(refused) < 100
    assert {str(r.requests[-1].failure) for r in refused} == {
        "server busy, please try again.  the heads of all requests together are too large"
    }
    ordinary = new_reader(heads=heads)
    ordinary.feed(POST + b"Cookie: " + b"x" * 4_096 + b"\r\nX: y" * 10 + b"\r\n\r\n")
    assert ordinary.requests[0].failure is None

    for reader in readers:
        while reader.requests:
            reader.answered(reader.requests.popleft())
        reader.close()
    again = new_reader(heads=heads)
    again.feed(held)
    assert not any(request.failure for request in again.requests)


def test_a_head_that_begins_in_the_read_of_another_request_is_not_free() -> None:
    reader = new_reader()
    tracemalloc.start()
    reader.feed(POST + b"\r\n" + POST + b"X: " + b"x" * 250_000)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    first, second = reader.requests
    assert first.failure is None
    assert second.failure is not None
    assert second.failure.status == 431
    assert held < MAX_HEAD_BYTES


def test_a_failure_holds_nothing_of_what_was_read() -> None:
    reader = new_reader()
    tracemalloc.start()
    reader.feed(POST + b"X: " + b"x" * 30_000 + b"\r\nHost: y\r\n\r\n")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert reader.requests[0].failure is not None
    assert held < 10_000
