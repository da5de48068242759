"""The translation of streams into Ollama's lines, for any split of the bytes."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.clock import Moment
from proxy_service.streaming.ollama import OllamaStream, StreamOptions
from proxy_service.streaming.text import TextBuffer
from tests.proxy.scripted_engine import DONE, USAGE, delta_event, event

AT = Moment("2026-01-02T03:04:05.000006Z", 1_000_000)
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RECORDED = b"".join(
    [
        b": keep-alive\r\n\r\n",
        delta_event(None),
        delta_event("Zw\N{LATIN SMALL LETTER O WITH DIAERESIS}lf \N{GRINNING FACE}"),
        delta_event("x", reasoning_content="hm"),
        delta_event("EN"),
        delta_event(" almost"),
        delta_event(None, tool_calls=[CALL]),
        delta_event("end", finish="length", usage=USAGE),
        DONE,
    ]
)


def translate(*pieces: bytes, chat: bool = True, stops: tuple[str, ...] = ("END",)) -> bytes:
    stream = OllamaStream(StreamOptions(model="m", chat=chat, stops=stops))
    batches = [stream.feed(piece, AT) for piece in pieces]
    batches.append(stream.close(AT))
    assert [batch.error for batch in batches if batch.error] == []
    return b"".join(batch.data for batch in batches)


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "generate"])
def test_every_split_of_a_recorded_stream_gives_the_same_lines(*, chat: bool) -> None:
    whole = translate(RECORDED, chat=chat)
    for at in range(len(RECORDED) + 1):
        assert translate(RECORDED[:at], RECORDED[at:], chat=chat) == whole


def test_the_lines_are_the_recorded_ones() -> None:
    """Byte for byte, so that a change of format is noticed."""
    expected = (Path(__file__).parent / "samples" / "chat_stream.ndjson").read_bytes()
    assert translate(RECORDED) == expected


@given(st.lists(st.text(alphabet="ENDx ", max_size=4), max_size=12))
def test_a_buffer_releases_exactly_the_text_before_the_first_stop_string(pieces: list[str]) -> None:
    """However the text is split, the stop string and the text after it aren't released."""
    buffer = TextBuffer(("END", "xx"))
    sent = "".join(buffer.feed(piece) for piece in pieces) + buffer.flush()
    text = "".join(pieces)
    ends = [at for at in (text.find("END"), text.find("xx")) if at >= 0]

    # The stop string that is complete first wins, even if another began before it.
    assert text.startswith(sent)
    assert "END" not in sent
    assert "xx" not in sent
    assert bool(ends) == buffer.stopped
    assert ends or sent == text


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\ud83d", "\ude00"], "\N{GRINNING FACE}"),
        (["a\ud83d", "\ude00b"], "a\N{GRINNING FACE}b"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["\ude00"], "\ufffd"),
        (["a\ud83d"], "a\ufffd"),
    ],
    ids=["pair", "pair in text", "lone high", "lone low", "high at the end"],
)
def test_surrogates_are_joined_or_replaced(pieces: list[str], text: str) -> None:
    """JSON may escape an emoji as two surrogates, and they may be in different events."""
    body = b"".join(delta_event(piece) for piece in pieces) + delta_event(
        "", finish="stop", usage=USAGE
    )
    lines = [json.loads(line) for line in translate(body).splitlines()]

    assert "".join(line["message"]["content"] for line in lines) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (delta_event("the E") + delta_event("", finish="stop", usage=USAGE), "the E"),
        (
            delta_event("the END")
            + delta_event(" x")
            + delta_event("", finish="stop", usage=USAGE),
            "the ",
        ),
        (delta_event("the ") + delta_event("E", finish="stop", usage=USAGE), "the E"),
        (delta_event("the E") + delta_event("", finish="length", usage=USAGE), "the E"),
        (
            delta_event("the E")
            + delta_event("N")
            + delta_event("D!", finish="length", usage=USAGE),
            "the ",
        ),
    ],
    ids=[
        "begun before the end",
        "sent in full",
        "released with the end",
        "cut by length",
        "complete",
    ],
)
def test_the_beginning_of_a_stop_string_is_sent_if_it_was_only_text(body: bytes, text: str) -> None:
    """An engine that stops at a string has sent all of it or nothing of it."""
    lines = [json.loads(line) for line in translate(body + DONE).splitlines()]

    assert "".join(line["message"]["content"] for line in lines) == text


def with_logprob(text: str, *, token: str | None = None, **fields: object) -> bytes:
    """Return an event with logprobs, as the engine sends it."""
    entry = {"token": token or text, "logprob": -0.5, "bytes": None, "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": text}, "logprobs": entry, "finish_reason": None}
    return event({"choices": [choice | fields], "usage": fields.get("finish_reason") and USAGE})


def text_and_tokens(body: bytes) -> list[tuple[str, list[str]]]:
    """Return each line's text, and the tokens whose logprobs are in the line."""
    return [
        (line["message"]["content"], [entry["token"] for entry in line.get("logprobs", [])])
        for line in map(json.loads, translate(body + DONE).splitlines())
    ]


def test_logprobs_are_held_back_with_their_text() -> None:
    """None is lost, and none is sent before its text."""
    body = b"".join(map(with_logprob, ("a", " E", "N", "E", "N", "!")))
    body += with_logprob("", token="</s>", finish_reason="stop")

    assert text_and_tokens(body) == [
        ("a", ["a"]),
        (" ", [" E"]),
        ("EN", ["N"]),
        ("EN!", ["E", "N", "!"]),
        ("", ["</s>"]),
    ]


def test_logprobs_of_a_stop_string_are_not_sent() -> None:
    """They contain its text."""
    body = b"".join(map(with_logprob, ("a", "E", "ND", "x")))
    body += with_logprob("", token="</s>", finish_reason="stop")

    assert text_and_tokens(body) == [("a", ["a"]), ("", [])]


def test_logprobs_of_thinking_are_in_its_chunk() -> None:
    delta = {"content": None, "reasoning_content": "hm"}
    body = with_logprob("", token="hm", delta=delta) + with_logprob("x", finish_reason="stop")

    assert text_and_tokens(body) == [("", ["hm"]), ("x", ["x"]), ("", [])]


def test_pieces_of_a_tool_call_are_joined() -> None:
    """Some engines send arguments in pieces; clients get the whole call."""
    first = CALL | {"function": {"name": "f", "arguments": '{"a":'}}
    second = {"index": 0, "function": {"arguments": "1}"}}
    body = delta_event(None, tool_calls=[first]) + delta_event(None, tool_calls=[second])
    body += delta_event(None, finish="tool_calls", usage=USAGE) + DONE

    line = json.loads(translate(body).splitlines()[0])

    assert line["message"]["tool_calls"][0]["function"]["arguments"] == {"a": 1}


@pytest.mark.parametrize(
    "payload",
    [
        b"<html>",
        b"[]",
        b"1",
        b'{"choices":[1]}',
        b'{"choices":{}}',
        b'{"choices":[{"delta":{"content":5}}]}',
        b'{"choices":[{"delta":[]}],"usage":7}',
        b'{"choices":null}',
        b"{",
    ],
)
def test_an_event_of_an_unknown_shape_is_an_error(payload: bytes) -> None:
    """The client gets a well-formed error, whatever the engine sends."""
    stream = OllamaStream(StreamOptions(model="m", chat=True))
    batch = stream.feed(b"data: " + payload + b"\n\n", AT)
    error = batch.error or stream.close(AT).error

    assert error is not None
    assert error.status >= 400


def test_usage_may_be_in_an_event_of_its_own() -> None:
    """OpenAI's servers send it after the finish_reason, without choices."""
    body = delta_event("a", finish="stop") + event({"choices": [], "usage": USAGE}) + DONE

    final = json.loads(translate(body).splitlines()[-1])

    assert final["eval_count"] == 18


@pytest.mark.parametrize("count", [None, "18", -1, float("nan"), True, []])
def test_a_count_that_is_not_a_number_is_left_out(count: object) -> None:
    usage = USAGE | {"completion_tokens": count}
    final = json.loads(
        translate(delta_event("a", finish="stop", usage=usage) + DONE).splitlines()[-1]
    )

    assert (final["prompt_eval_count"], final["eval_count"]) == (11, 1)


def test_without_usage_the_deltas_are_counted() -> None:
    """This is documented as a lower bound."""
    final = json.loads(
        translate(
            delta_event("a") + delta_event("b") + delta_event("", finish="stop") + DONE
        ).splitlines()[-1]
    )

    assert final["eval_count"] == 2


def test_events_after_the_end_are_ignored() -> None:
    body = delta_event("a", finish="stop", usage=USAGE) + delta_event("late") + DONE

    assert [json.loads(line)["done"] for line in translate(body).splitlines()] == [False, True]


def test_the_last_line_of_generate_has_the_context() -> None:
    """It is made from the complete text."""
    options = StreamOptions(model="m", chat=False, context_of=lambda text: {"context": [len(text)]})
    stream = OllamaStream(options)
    batch = stream.feed(delta_event("abc") + delta_event("de", finish="stop", usage=USAGE), AT)

    assert json.loads(batch.data.splitlines()[-1])["context"] == [5]
