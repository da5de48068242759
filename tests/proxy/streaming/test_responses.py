"""The translation of streams into the events of the Responses API, for any split of the bytes."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy_service.errors import EngineUnavailable
from proxy_service.streaming.responses import ResponsesStream
from proxy_service.streaming.sse import SSEDecoder
from proxy_service.translate.responses.replies import Frame, repeated
from proxy_service.translate.responses.tools import Tools
from proxy_service.wire.responses import read_request
from tests.proxy.scripted_engine import DONE, USAGE, delta_event, event

FUNCTION = {"type": "function", "name": "f", "parameters": {}}
PATCH = {"type": "custom", "name": "patch"}
SENT: dict[str, Any] = {"input": "hi", "tools": [FUNCTION, PATCH]}
RECORDED = b"".join(
    [
        delta_event(None),
        delta_event(None, reasoning_content="hm, \N{GRINNING FACE}"),
        delta_event("x", reasoning_content="!"),
        delta_event("Zw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf"),
        delta_event(" more"),
        delta_event(
            None,
            tool_calls=[
                {"index": 0, "id": "c", "function": {"name": "f", "arguments": '{"a":1}'}},
                {
                    "index": 1,
                    "id": "d",
                    "function": {"name": "patch", "arguments": '{"input":"y"}'},
                },
            ],
        ),
        delta_event("", finish="tool_calls", usage=USAGE),
        DONE,
    ]
)
SAMPLE = Path(__file__).parent / "samples" / "responses_stream.txt"


def stream() -> ResponsesStream:
    tools = Tools(read_request(SENT)).names()
    return ResponsesStream(
        Frame(sent=repeated(SENT), tools=tools, model="m", key="k", created_at=5)
    )


def translate(*pieces: bytes) -> bytes:
    translated = stream()
    batches = [*map(translated.feed, pieces), translated.close()]
    assert [batch.error for batch in batches if batch.error] == []
    return b"".join(batch.data for batch in batches)


def events(body: bytes) -> list[dict[str, Any]]:
    """Decode the events; each must be named after its type and numbered."""
    found = SSEDecoder().feed(body)
    values = [json.loads(item.data) for item in found]
    assert [item.name.decode() for item in found] == [value["type"] for value in values]
    first = values[0]["sequence_number"]
    assert [value["sequence_number"] for value in values] == [*range(first, first + len(values))]
    return values


def deltas(body: bytes, kind: str) -> str:
    wanted = f"response.{kind}.delta"
    return "".join(value["delta"] for value in events(body) if value["type"] == wanted)


def test_every_split_of_a_recorded_stream_gives_the_same_events() -> None:
    whole = translate(RECORDED)
    for at in range(len(RECORDED) + 1):
        assert translate(RECORDED[:at], RECORDED[at:]) == whole


def test_the_events_are_the_recorded_ones() -> None:
    """Byte for byte, so that a change of format is noticed."""
    assert translate(RECORDED) == SAMPLE.read_bytes()


def test_each_item_is_opened_filled_and_repeated_when_it_is_done() -> None:
    values = events(translate(RECORDED))
    added = [value for value in values if value["type"] == "response.output_item.added"]
    done = [value for value in values if value["type"] == "response.output_item.done"]
    kinds = ["reasoning", "message", "function_call", "custom_tool_call"]

    assert [value["item"]["type"] for value in added] == kinds
    assert [value["output_index"] for value in added] == [0, 1, 2, 3]
    assert [value["item"]["id"] for value in added] == [value["item"]["id"] for value in done]
    assert values[-1]["response"]["output"] == [value["item"] for value in done]
    items = {value["item"]["id"] for value in done}
    assert {value["item_id"] for value in values if "item_id" in value} == items


@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_plain_events_are_translated_alike_in_runs_and_one_by_one(size: int) -> None:
    texts = ['a"b\\', "\n", "plain", "\N{SNOWMAN}", " ", "\u2028", "</x>"] * 20
    body = b"".join(map(delta_event, texts)) + delta_event("", finish="stop", usage=USAGE) + DONE
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    translated = translate(*pieces)

    assert deltas(translated, "output_text") == "".join(texts)
    assert translated.isascii()
    (item,) = events(translated)[-1]["response"]["output"]
    assert item["content"][0]["text"] == "".join(texts)


def test_chunks_deltas_and_usage_are_counted() -> None:
    translated = stream()
    batch = translated.feed(RECORDED)

    assert (batch.chunks, batch.deltas) == (7, 5)
    assert (translated.done, translated.finish_reason) == (True, "tool_calls")
    assert translated.usage is not None
    assert translated.usage["completion_tokens"] == 18


@pytest.mark.parametrize(
    ("finish", "status", "details"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
    ],
)
def test_the_last_event_says_how_the_response_ended(
    finish: str, status: str, details: object
) -> None:
    last = events(translate(delta_event("a", finish=finish, usage=USAGE) + DONE))[-1]

    assert last["type"] == f"response.{status}"
    assert last["response"]["status"] == status
    assert last["response"]["incomplete_details"] == details
    assert last["response"]["usage"]["total_tokens"] == 29


def test_an_empty_reply_has_no_items() -> None:
    values = events(translate(delta_event("", finish="stop", usage=USAGE)))

    assert [value["type"] for value in values] == [
        "response.created",
        "response.in_progress",
        "response.completed",
    ]


def test_comments_keep_a_silent_stream_alive() -> None:
    translated = stream()
    batches = [translated.feed(b": keep-alive\n\n") for _ in range(2)]

    assert events(batches[0].data)[0]["type"] == "response.created"
    assert batches[1].data == b":\n\n"


def test_an_error_before_anything_else_leaves_the_stream_unopened() -> None:
    batch = stream().feed(event({"error": {"message": "no"}}))

    assert batch.error is not None
    assert batch.data == b""


def test_a_failure_is_a_response_that_failed() -> None:
    """It has what was complete, and its number continues those before."""
    translated = stream()
    sent = translated.feed(delta_event("a")).data
    whole = events(sent + translated.failed(EngineUnavailable("gone")))

    assert whole[-1]["type"] == "response.failed"
    assert whole[-1]["response"]["status"] == "failed"
    assert whole[-1]["response"]["error"] == {"code": "server_error", "message": "gone"}


def test_endless_text_is_the_engines_fault() -> None:
    translated = stream()
    text = delta_event(reasoning_content="x" * 1024 * 1024)
    batches = [translated.feed(text) for _ in range(17)]

    assert translated.held > 16 * 1024 * 1024
    assert [batch.error is not None for batch in batches] == [False] * 16 + [True]


def test_what_a_response_repeats_of_its_request_is_limited() -> None:
    """Small fields stay."""
    sent = SENT | {"instructions": "x" * 100_000, "temperature": 0.5}
    frame = Frame(
        sent=repeated(sent),
        tools=Tools(read_request(sent)).names(),
        model="m",
        key="k",
        created_at=5,
    )
    made = frame.response("completed", [])

    assert (made["instructions"], made["temperature"]) == (None, 0.5)
    assert made["tools"] == SENT["tools"]
