"""JSON read and written fast is what the standard library reads and writes."""

import contextlib
import json
import logging
import math
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_service.errors import InvalidRequest
from proxy_service.telemetry.logs import JSONFormatter, write_event
from proxy_service.wire.ollama import Message, _message, _messages
from proxy_service.wire.reading import decode_plain
from proxy_service.wire.writing import to_json

TEXT = st.text(st.characters(), max_size=20)  # lone surrogates, controls and line separators too
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
# What real senders vary, and what is nearly JSON.
PIECES = st.sampled_from(
    [
        *(
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            '"',
            "null",
            "true",
            "false",
            "NaN",
            "-Infinity",
            " ",
            "\n",
        ),
        *("0", "-0", "-0.0", "01", "1.", "1e400", "5e-324", "1e5", "9" * 19, "9" * 25, "9" * 5000),
        *("0.12345678901234567890123", "1.7976931348623159e308", "-9223372036854775809"),
        *(
            '"a"',
            '"\\ud83d\\ude00"',
            '"\\ud83d"',
            '"\\ude00x"',
            '"\\u0000"',
            '"\x7f"',
            '"\\/"',
            "\0",
        ),
        *('{"a":1,"b":2,"a":3}', '{"a":{"a":[]}}', "\ufeff", "é", '"é\u2028"', "[" * 1000),
    ]
)


def standard(body: bytes) -> object:
    """Read as the standard library does."""
    return json.loads(body.decode())


def same(left: object, right: object) -> bool:
    """Whether two values are the same in type, order of keys, and sign of zero."""
    return repr(left) == repr(right)


@given(st.lists(PIECES, max_size=8).map(lambda pieces: "".join(pieces).encode()) | st.binary())
@example(b"18446744073709551616")
@example(b'"\xff"')
def test_what_is_read_fast_is_read_alike_by_the_standard_library(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert same(decode_plain(body), standard(body))


@given(VALUES)
def test_what_the_standard_library_writes_is_read_alike(value: object) -> None:
    body = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")

    with contextlib.suppress(ValueError):
        assert same(decode_plain(body), standard(body))


@given(VALUES)
def test_what_is_written_fast_reads_as_what_the_standard_library_writes(value: object) -> None:
    """Except that what is no number becomes null, which every decoder takes."""
    expected = json.loads(json.dumps(value), parse_constant=lambda _: None)

    assert same(json.loads(to_json(value)), expected)


def test_an_ordinary_request_and_reply_are_read_fast() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud83d\\ude00 \xc3\xa9"}],"x":0.1}'

    assert decode_plain(body) == standard(body)


@pytest.mark.parametrize(
    "body", [b"", b"{} {}", b"NaN", b'"\\ud800"', b"1e400", b'"\xff"', b"[" * 9999]
)
def test_what_decoders_differ_about_is_left_to_the_standard_library(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  which one is nobody's business
        decode_plain(body)


@given(st.dictionaries(st.text(st.characters(), min_size=1, max_size=9), VALUES, max_size=4))
def test_nothing_in_an_event_can_forge_a_line(fields: dict[str, object]) -> None:
    record = logging.LogRecord("name", logging.INFO, "", 0, "event", (), None)
    record.fields = fields

    line = JSONFormatter().format(record)

    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert set(json.loads(line)) >= {name for name, value in fields.items() if value is not None}


def test_an_event_written_at_once_is_the_line_that_logging_writes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("tests.events")
    handler = logging.StreamHandler(stream=None)
    fields = {"text": "é", "none": None, "number": math.pi, "other": ValueError("x")}
    record = logger.makeRecord(
        logger.name, logging.WARNING, "", 0, "event", (), None, extra={"fields": fields}
    )
    handler.setFormatter(JSONFormatter())

    write_event(logger, logging.WARNING, "event", fields)

    at_once = json.loads(capsys.readouterr().out)
    by_logging = json.loads(handler.format(record))
    assert at_once.pop("time").endswith("Z")
    by_logging.pop("time")
    assert at_once == by_logging


def test_an_event_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("tests.events")
    logger.setLevel(logging.WARNING)

    write_event(logger, logging.INFO, "event", {})

    assert capsys.readouterr().out == ""


KEYS = st.sampled_from(
    ["role", "content", "thinking", "images", "tool_calls", "tool_name", "tool_call_id"]
)
ODD_KEYS = st.sampled_from(["Role", "CONTENT", "else", ""])
CALLS = st.sampled_from(
    [
        {"id": "1", "function": {"name": "f", "arguments": {"x": 1}}},
        {"id": "1", "name": "f", "arguments": {}},
        {},
        "f",
    ]
)
FIELDS = (
    st.sampled_from(["user", "assistant", "User", "tool", ""])
    | st.lists(st.sampled_from(["aGk=", ""]) | st.none(), max_size=2)
    | st.lists(CALLS, max_size=2)
    | st.sampled_from([None, True, 1, 1.0, {}])
)
HISTORIES = st.lists(
    st.dictionaries(KEYS | ODD_KEYS, FIELDS, max_size=4)
    | st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant"]), "content": st.text(max_size=5)}
    )
    | FIELDS,
    max_size=4,
)


def read_or_told(read: Callable[[], tuple[Message, ...]]) -> object:
    """Give what was read, or the text of the error."""
    try:
        return read()
    except InvalidRequest as error:
        return error.message


@given(HISTORIES)
@example([{"role": "user", "content": "a", "images": ["aGk="]}])
@example(
    [{"role": "user", "content": "a", "tool_calls": [{"id": "", "name": "", "arguments": {}}]}]
)
def test_a_history_read_at_once_is_the_one_read_message_by_message(items: list[object]) -> None:
    """Or it is refused in the same words."""
    one_by_one = read_or_told(lambda: tuple(map(_message, items)))

    assert read_or_told(lambda: _messages(items)) == one_by_one
