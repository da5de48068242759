"""The translation of streams into Anthropic's events, for any split of the bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy_service.errors import InvalidRequest
from proxy_service.streaming.anthropic import MessagesStream
from proxy_service.streaming.sse import Event, SSEDecoder
from tests.proxy.scripted_engine import DONE, USAGE, delta_event, event

CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RECORDED = b"".join(
    [
        delta_event(None),
        delta_event(None, reasoning_content="hm, \N{GRINNING FACE}"),
        delta_event("x", reasoning_content="!"),
        delta_event("Zw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf"),
        delta_event(" EN"),
        delta_event(" almost"),
        delta_event(None, reasoning_content="again"),
        delta_event("end", tool_calls=[CALL, CALL | {"index": 1, "id": "d"}]),
        delta_event(" \N{LATIN SMALL LETTER E WITH ACUTE}", finish="tool_calls", usage=USAGE),
        DONE,
    ]
)
SAMPLE = Path(__file__).parent / "samples" / "messages_stream.txt"


def stream(*stops: str) -> MessagesStream:
    return MessagesStream(message_id="msg_1", model="m", stops=stops)


def translate(*pieces: bytes, stops: tuple[str, ...] = ("END",)) -> bytes:
    translated = stream(*stops)
    batches = [*map(translated.feed, pieces), translated.close()]
    assert [batch.error for batch in batches if batch.error] == []
    return b"".join(batch.data for batch in batches)


def events(body: bytes) -> list[dict[str, Any]]:
    """Decode the events; each must be named after its type."""
    found = SSEDecoder().feed(body)
    values = [json.loads(item.data) for item in found]
    assert [item.name.decode() for item in found] == [value["type"] for value in values]
    return values


def deltas(body: bytes, field: str) -> str:
    found = [value["delta"] for value in events(body) if value["type"] == "content_block_delta"]
    return "".join(delta.get(field, "") for delta in found)


def test_every_split_of_a_recorded_stream_gives_the_same_events() -> None:
    whole = translate(RECORDED)
    for at in range(len(RECORDED) + 1):
        assert translate(RECORDED[:at], RECORDED[at:]) == whole


def test_the_events_are_the_recorded_ones() -> None:
    """Byte for byte, so that a change of format is noticed."""
    assert translate(RECORDED) == SAMPLE.read_bytes()


def test_blocks_are_open_one_at_a_time_and_numbered() -> None:
    open_block, number = None, 0
    kinds = []
    for value in events(translate(RECORDED)):
        if value["type"] == "content_block_start":
            assert (open_block, value["index"]) == (None, number)
            open_block = number
            kinds.append(value["content_block"]["type"])
        elif value["type"] == "content_block_stop":
            assert value["index"] == open_block
            open_block, number = None, number + 1
        elif value["type"] == "content_block_delta":
            assert value["index"] == open_block
    assert open_block is None
    assert kinds == ["thinking", "text", "thinking", "text", "tool_use", "tool_use"]


@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_plain_events_are_translated_alike_in_runs_and_one_by_one(size: int) -> None:
    texts = ['a"b\\', "\n", "plain", "\N{SNOWMAN}", " ", "\u2028", "</x>"] * 20
    body = b"".join(map(delta_event, texts)) + delta_event("", finish="stop", usage=USAGE) + DONE
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    translated = translate(*pieces, stops=())

    assert deltas(translated, "text") == "".join(texts)
    assert translated.isascii()
    starts = [value for value in events(translated) if value["type"] == "content_block_start"]
    assert len(starts) == 1


def test_chunks_deltas_and_usage_are_counted() -> None:
    translated = stream()
    batch = translated.feed(RECORDED)

    # One event has a thought and text; the two calls, which came with text, are chunks, too.
    assert (batch.chunks, batch.deltas) == (11, 8)
    assert translated.done
    assert translated.finish_reason == "tool_calls"
    assert translated.usage is not None
    assert translated.usage["completion_tokens"] == 18


@pytest.mark.parametrize(
    ("finish", "stops", "expected"),
    [
        ("stop", (), {"stop_reason": "end_turn", "stop_sequence": None}),
        ("length", (), {"stop_reason": "max_tokens", "stop_sequence": None}),
        ("stop", ("END", "zzz"), {"stop_reason": "stop_sequence", "stop_sequence": "END"}),
    ],
)
def test_the_last_delta_says_why_the_message_ended(
    finish: str, stops: tuple[str, ...], expected: dict[str, Any]
) -> None:
    body = delta_event("a") + delta_event("END more", finish=finish, usage=USAGE) + DONE
    *_, last, stop = events(translate(body, stops=stops))

    assert stop == {"type": "message_stop"}
    assert last["delta"] == expected
    assert last["usage"] == {"input_tokens": 11, "output_tokens": 18}


def test_a_stop_string_is_never_sent() -> None:
    body = delta_event("abE") + delta_event("ND and", finish="stop", usage=USAGE) + DONE

    assert deltas(translate(body), "text") == "ab"


def test_usage_may_come_after_the_end_or_not_at_all() -> None:
    """OpenAI's servers send it in an event of its own, if they are asked to."""
    ended = delta_event("a") + delta_event("b", finish="stop")
    late = events(translate(ended + event({"choices": [], "usage": USAGE}) + DONE, stops=()))
    never = events(translate(ended + DONE, stops=()))

    assert late[-2]["usage"] == {"input_tokens": 11, "output_tokens": 18}
    assert never[-2]["usage"] == {"input_tokens": 0, "output_tokens": 2}


def test_calls_in_pieces_are_put_together() -> None:
    first = {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a"'}}
    more = {"index": 0, "function": {"arguments": ":1}"}}
    body = (
        delta_event(None, tool_calls=[first])
        + delta_event(None, tool_calls=[more])
        + delta_event(None, finish="tool_calls", usage=USAGE)
    )

    assert json.loads(deltas(translate(body), "partial_json")) == {"a": 1}


def test_comments_keep_a_silent_stream_alive() -> None:
    """The message begins with the first one, so that clients see that something happens."""
    translated = stream()
    batches = [translated.feed(b": keep-alive\n\n") for _ in range(2)]

    assert events(batches[0].data)[0]["type"] == "message_start"
    assert batches[0].data.endswith(b":\n\n")
    assert batches[1].data == b":\n\n"
    assert [batch.chunks for batch in batches] == [0, 0]
    assert events(translated.feed(delta_event("a")).data)[0]["type"] == "content_block_start"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (event({"error": {"message": "out of memory"}}), "out of memory"),
        (b"data: out of memory\n\n", "out of memory"),
        (event({"choices": [{"delta": {"tool_calls": 5}}]}), "unknown format"),
        (delta_event("a", finish="error"), "failed"),
        (DONE, "before the reply was complete"),
        (
            delta_event(
                None, finish="tool_calls", tool_calls=[CALL | {"function": {"arguments": "{"}}]
            ),
            "arguments",
        ),
    ],
    ids=["error", "text", "unknown shape", "failed", "incomplete", "arguments"],
)
def test_a_fault_of_the_engine_is_the_batchs_error(body: bytes, message: str) -> None:
    translated = stream()
    batch = translated.feed(delta_event("fine") + body)

    assert batch.error is not None
    assert message in batch.error.message
    assert deltas(batch.data, "text").startswith("fine")
    assert not translated.done


def test_an_error_before_anything_else_leaves_the_stream_unopened() -> None:
    """So the client can still get it with a status."""
    batch = stream().feed(b": hi\n\n" + event({"error": {"message": "no"}}))

    assert batch.error is not None
    assert batch.data == b""


def test_a_stream_that_is_closed_too_early_is_incomplete() -> None:
    translated = stream()
    translated.feed(delta_event("a"))
    error = translated.close().error

    assert error is not None
    assert "before the reply was complete" in error.message


def test_a_failure_is_an_error_event() -> None:
    (found,) = SSEDecoder().feed(stream().failed(InvalidRequest("no")))

    assert found == Event(
        b"error",
        b'{"type":"error","error":{"type":"invalid_request_error","message":"no"}}',
    )
