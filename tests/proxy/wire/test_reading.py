"""Request bodies, read as Go's decoder reads them."""

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy_service.errors import InvalidRequest
from proxy_service.wire.reading import MAX_LENIENT_BYTES, decode_strict, parse_object
from tests.proxy.json_values import VALUES


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (b'{"A":1}', {"a": 1}),
        (b'{"A":1,"a":2}', {"a": 2}),
        (b'{"a":2,"A":1}', {"a": 1}),
        (b'{"a":2,"a":1}', {"a": 1}),
        (b' \n{"a":1} trailing', {"a": 1}),
        (b"null", {}),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        (b'{"a":"\\ud83d"}', {"a": "\ufffd"}),
        (b'{"a":["\\ud83d\\ude00"]}', {"a": ["\N{GRINNING FACE}"]}),
        (b'{"a":"\\uD83D\\uDE00\\ud83d\\ud83d\\ude00"}', {"a": "\U0001f600\ufffd\U0001f600"}),
        (b'{"a":"\\ude00\\ud83d\\n"}', {"a": "\ufffd\ufffd\n"}),
        (b'{"\\\\ud83d":"\\\\\\ud83d\\\\\\\\ude00"}', {"\\ud83d": "\\\ufffd\\\\ude00"}),
        (b'{"\\ud83d":1,"\\ud83e":2}', {"\ufffd": 2}),
    ],
)
def test_bodies_are_read_as_by_gos_decoder(body: bytes, parsed: dict[str, object]) -> None:
    assert parse_object(body, "X") == parsed


@pytest.mark.parametrize("number", ["1e999", "-1e999", "Infinity", "-Infinity", "NaN"])
def test_numbers_that_are_not_json_are_refused(number: str) -> None:
    """They would be written as words that the engine can't read."""
    with pytest.raises(InvalidRequest):
        parse_object(f'{{"a":{number}}}'.encode(), "X")


# What clients write in different ways, and what is almost JSON.
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
    """Decode with the standard library."""
    return json.loads(body.decode())


def same(left: object, right: object) -> bool:
    """Return whether two values are equal, types, order of keys and sign of zero included."""
    return repr(left) == repr(right)


@given(st.lists(PIECES, max_size=8).map(lambda pieces: "".join(pieces).encode()) | st.binary())
@example(b"18446744073709551616")
@example(b'"\xff"')
def test_strict_decoding_agrees_with_the_standard_library(body: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert same(decode_strict(body), standard(body))


@given(VALUES)
def test_json_of_the_standard_library_is_decoded_alike(value: object) -> None:
    body = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")

    with contextlib.suppress(ValueError):
        assert same(decode_strict(body), standard(body))


def test_an_ordinary_request_can_be_decoded_strictly() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud83d\\ude00 \xc3\xa9"}],"x":0.1}'

    assert decode_strict(body) == standard(body)


@pytest.mark.parametrize(
    "body", [b"", b"{} {}", b"NaN", b'"\\ud800"', b"1e400", b'"\xff"', b"[" * 9999]
)
def test_json_that_decoders_disagree_about_is_not_decoded_strictly(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any text will do
        decode_strict(body)


LARGE = b"x" * MAX_LENIENT_BYTES


def test_a_large_body_may_have_lone_surrogates_and_text_after_it() -> None:
    body = b'{"a":"\\ud83d","b":"%s"} trailing' % LARGE

    assert parse_object(body, "X")["a"] == "\ufffd"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"a":"\xff%s"}' % LARGE, "must be valid UTF-8"),
        (b'{"a":"%s","b":"%s"}' % (b"\\ud83d" * 100_001, LARGE), "escaped surrogates"),
        (b'{"a":[%s],"b":"%s"}' % (b",".join([b"1" * 4000] * 26), LARGE), "digits in a row"),
    ],
)
def test_what_takes_long_to_read_is_refused_in_large_bodies(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        parse_object(body, "X")
