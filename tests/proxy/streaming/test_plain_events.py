"""Runs of plain events, which must have the same result as decoding each event."""

import itertools
import json
from dataclasses import asdict

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_service.clock import Moment
from proxy_service.streaming.ollama import OllamaStream, StreamOptions
from proxy_service.streaming.passthrough import PassthroughStream
from proxy_service.streaming.plain_events import PlainEvents, decode
from proxy_service.wire import JsonObject
from tests.proxy.scripted_engine import DONE, USAGE, delta_event

AT = Moment("2026-01-02T03:04:05.000006Z", 1_000_000)
TEXTS = st.lists(st.text(max_size=6) | st.sampled_from(['"', "\\", '\\"', "\n", '","role":', "é"]))
CUTS = st.lists(st.integers(min_value=0, max_value=6000), max_size=8)
LAST = delta_event("", finish="stop", usage=USAGE) + DONE


def events(texts: list[str], *, ascii_only: bool) -> bytes:
    """Return events as Python would write them, or with text in UTF-8 as Rust would."""
    pieces = []
    for text in texts:
        body = json.loads(delta_event(text)[6:])
        written = json.dumps(body, separators=(",", ":"), ensure_ascii=ascii_only)
        pieces.append(b"data: " + written.encode("utf-8", "replace") + b"\n\n")
    return b"".join(pieces)


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


def translate(pieces: list[bytes], *, chat: bool) -> tuple[bytes, int, int, int]:
    """Return the lines, the numbers of chunks and deltas, and the tokens."""

    def context(text: str) -> JsonObject:
        return {"context": [ord(character) for character in text]}

    options = StreamOptions(model="m", chat=chat, context_of=None if chat else context)
    stream = OllamaStream(options)
    batches = [stream.feed(piece, AT) for piece in pieces]
    batches.append(stream.close(AT))
    assert [batch.error for batch in batches if batch.error] == []
    data = b"".join(batch.data for batch in batches)
    return data, sum(b.chunks for b in batches), sum(b.deltas for b in batches), stream.tokens


def without_runs(body: bytes) -> bytes:
    """Return the same events with other line endings, in which runs aren't recognised."""
    return body.replace(b"\n\n", b"\r\n\r\n")


@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "raw"])
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "generate"])
@given(texts=TEXTS, cuts=CUTS)
@example(texts=["a", "b", '"', "\\", "c\n", "\x7f", "/", "\N{GRINNING FACE}", ""], cuts=[])
def test_runs_give_the_same_lines_as_single_events(
    texts: list[str], cuts: list[int], *, chat: bool, ascii_only: bool
) -> None:
    """And the same counts, for any text and any splits between reads."""
    body = events(texts, ascii_only=ascii_only) + LAST

    assert translate(pieces_of(body, cuts), chat=chat) == translate([without_runs(body)], chat=chat)


@given(texts=TEXTS, cuts=CUTS)
def test_runs_are_counted_like_single_events_in_a_passed_stream(
    texts: list[str], cuts: list[int]
) -> None:
    def counts(pieces: list[bytes]) -> list[object]:
        stream = PassthroughStream(model="m")
        batches = [asdict(stream.feed(piece)) for piece in pieces]
        stream.close()
        return [
            sum(batch["chunks"] for batch in batches),
            sum(batch["deltas"] for batch in batches),
            stream.usage,
            stream.finish_reason,
            stream.done,
        ]

    body = events(texts, ascii_only=False) + LAST
    assert counts(pieces_of(body, cuts)) == counts([without_runs(body)])


def learned(example: bytes) -> PlainEvents:
    runs = PlainEvents()
    runs.learn(example[6:-2], json.loads(example[6:]))
    return runs


def test_a_run_ends_before_the_first_event_that_is_not_plain() -> None:
    """The data after the run is left for the decoder."""
    runs = learned(delta_event("first"))
    texts, rest = runs.split(delta_event("a") + delta_event('say "b"\n') + LAST)

    assert texts == [b"a", b'say \\"b\\"\\n']
    assert rest == LAST
    assert decode(texts) == 'asay "b"\n'


@pytest.mark.parametrize(
    "other",
    [
        delta_event(None),
        delta_event(""),
        delta_event("\u00e9"),
        delta_event("a", reasoning_content="b"),
        delta_event("a", reasoning="b"),
        delta_event("a", finish="stop"),
        delta_event("a").replace(b'"created":1', b'"created":2'),
        b": comment\n\n",
        b"event: x\n" + delta_event("a"),
    ],
)
def test_events_that_are_not_plain_are_not_a_run(other: bytes) -> None:
    """Not even before or between plain ones."""
    runs = learned(delta_event("first"))

    assert runs.split(other + delta_event("a"))[0] == []
    assert runs.split(delta_event("a") + other + delta_event("b"))[0] == []


@pytest.mark.parametrize(
    "example",
    [
        delta_event("a", finish="stop", usage=USAGE),
        delta_event("a", reasoning_content="b"),
        delta_event("a", reasoning="b"),
        delta_event("a", tool_calls=[{"index": 0}]),
        delta_event("a").replace(b'"content":', b'"content" :'),
    ],
    ids=["last", "thinking", "thinking, named otherwise", "tool call", "spaced"],
)
def test_only_a_plain_event_in_the_usual_form_is_an_example(example: bytes) -> None:
    assert learned(example).split(example)[0] == []
