"""Reads JSON, and request bodies as Ollama's own server reads them.

A body may have any content type. Only its first JSON value counts, keys match in any case, null
means absent, and invalid UTF-8 and lone surrogates become U+FFFD. Errors have the texts of Go's
decoder, because some clients match on them.

Limits keep a body from taking much time, memory or stack: `MAX_DEPTH`, `MAX_VALUES`,
`MAX_CONTAINERS`, `MAX_LENIENT_BYTES` and `_MAX_LONG_DIGITS`.
"""

import json
import math
import re
from typing import Any, TypeVar, cast

import msgspec

from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject

_Value = TypeVar("_Value")
_Default = TypeVar("_Default")

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
# Escaped backslashes, and then a pair of surrogates or a lone one (the second group).
_SURROGATE_ESCAPE = re.compile(
    r"(?<!\\)((?:\\\\)*)"
    r"(?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2}))"
)
_SPACE = " \t\r\n"
# Levels of arrays and objects, more than any schema needs. Go allows 10,000, but Python would run
# out of stack, at a depth that depends on the caller.
MAX_DEPTH = 256
# Brackets, braces and commas, including those in strings: more than fit into any model's context.
# Decoded values take many times the memory of their text.
MAX_VALUES = 500_000
# Brackets and braces: each stands for an array or object, which costs most. In a body above some
# KiB, they can be a third of all bytes.
MAX_CONTAINERS = 100_000
_FEW_CONTAINERS = 1000
_BYTES_PER_CONTAINER = 3
# Bytes of a body in which any number of invalid bytes and escaped surrogates are replaced. Only
# images make larger ones, and those are plain ASCII.
MAX_LENIENT_BYTES = 4 * 1024 * 1024
_MAX_SURROGATES = 100_000  # in a body above `MAX_LENIENT_BYTES`
# Digits, in groups of `_LONG_DIGITS`, of a body above `MAX_LENIENT_BYTES`. Reading a number takes a
# time that grows with the square of its length; in images and texts there are hardly any.
_LONG_DIGITS = 100
_MAX_LONG_DIGITS = 1000
_EVERY = 16  # a group has at least six digits among every sixteenth byte; images hardly ever do
# Bytes of a body that are looked at in one step. Another thread can run only between two steps.
_STEP_BYTES = 1024 * 1024
_ANY_DIGIT = bytes.maketrans(b"123456789", b"0" * 9)
_CONTAINERS = frozenset({dict, list})
MAX_INT64 = 2**63 - 1  # Go's int, which Ollama and its clients read whole numbers into


def _refuse_constant(name: str) -> object:
    raise InvalidRequest(f"invalid character '{name[0]}' looking for beginning of value")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidRequest(f"json: cannot unmarshal number {text} into Go value of type float64")
    return number


_decoder = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _finite_float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


_lenient = json.JSONDecoder(
    parse_constant=lambda _: None,
    parse_float=lambda text: None if math.isinf(number := float(text)) else number,
)
# The hook, because `msgspec` itself takes some microseconds for a number such as 1e-300.
_decode_fast = msgspec.json.Decoder(float_hook=_finite_float).decode


def decode_strict(body: bytes) -> object:
    """Decode JSON that every decoder reads alike, four times as fast as the standard library.

    Raises:
        ValueError: The body isn't JSON, or contains what decoders disagree about: lone
            surrogates, NaN, infinities, numbers that are too large, invalid UTF-8, text after
            the value. The standard library may still read it.
    """
    try:
        return cast("object", _decode_fast(body))
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def is_json(body: bytes) -> bool:
    """Return whether a body has the syntax of JSON, without decoding it."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def decode_reply(body: bytes) -> object:
    """Decode the engine's JSON, reading NaN and numbers that are too large as null.

    Raises:
        ValueError: The body isn't JSON, is nested too deeply, or consists mostly of brackets.
    """
    openings = body.count(b"[") + body.count(b"{")
    if openings > _FEW_CONTAINERS + len(body) // _BYTES_PER_CONTAINER:
        raise ValueError("too many arrays and objects")
    try:
        value = decode_strict(body)
    except ValueError:
        try:
            value = _lenient.decode(body.decode("utf-8", "surrogatepass"))
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
    if openings > MAX_DEPTH and _is_deep(value):
        raise ValueError("nested too deeply")
    return value


def parse_object(body: bytes, struct: str) -> JsonObject:
    """Decode ``body`` into an object whose top-level keys are lower-case; see `decode_object`."""
    return fold_keys(decode_object(body, struct))


def decode_object(body: bytes, struct: str) -> JsonObject:
    """Decode ``body`` into an object with its keys as they were sent.

    Args:
        body: The request body.
        struct: Go's name for the object, as its error texts contain it.

    Raises:
        InvalidRequest: The body is empty, isn't JSON, isn't an object, or exceeds a limit.
    """
    openings = _check_size(body)
    try:
        value = decode_strict(body)
    except ValueError:
        value = _decode(body)
    if openings > MAX_DEPTH and _is_deep(value):
        raise InvalidRequest(f"the JSON is nested more than {MAX_DEPTH} levels deep; flatten it")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"json: cannot unmarshal {json_type(value)} into Go value of type api.{struct}"
        )
    return cast("JsonObject", value)


def _check_size(body: bytes) -> int:
    """Return the number of brackets and braces.

    Raises:
        InvalidRequest: The body exceeds a limit.
    """
    openings = commas = 0
    for start in range(0, len(body), _STEP_BYTES):
        part = start, start + _STEP_BYTES
        openings += body.count(b"[", *part) + body.count(b"{", *part)
        commas += body.count(b",", *part)
        if openings + commas > MAX_VALUES:
            raise InvalidRequest(
                f"the JSON contains more than {MAX_VALUES} values; split it into several requests"
            )
    most = min(MAX_CONTAINERS, _FEW_CONTAINERS + len(body) // _BYTES_PER_CONTAINER)
    if openings > most:
        raise InvalidRequest(
            f"the JSON contains more than {most} arrays and objects; split it into several requests"
        )
    if len(body) > MAX_LENIENT_BYTES and _has_long_digits(body):
        raise InvalidRequest(
            f"the JSON contains more than {_MAX_LONG_DIGITS} times {_LONG_DIGITS} digits in a "
            "row; split it into several requests"
        )
    return openings


def _has_long_digits(body: bytes) -> bool:
    """Return whether there are more digits than a large body may have, in groups."""
    sample = body[::_EVERY].translate(_ANY_DIGIT)
    if sample.count(b"0" * (_LONG_DIGITS // _EVERY)) <= _MAX_LONG_DIGITS:
        return False  # nearly always
    return body.translate(_ANY_DIGIT).count(b"0" * _LONG_DIGITS) > _MAX_LONG_DIGITS


def _decode(body: bytes) -> object:
    text = _decode_text(body).lstrip(_SPACE)
    if not text:
        raise InvalidRequest("missing request body")
    try:
        value, _ = _decoder.raw_decode(text)
    except json.JSONDecodeError as error:
        raise InvalidRequest(_go_text(error)) from error
    except (RecursionError, ValueError) as error:
        raise InvalidRequest(
            "the JSON is nested too deeply or contains a number that is too long"
        ) from error
    return cast("object", value)


def _decode_text(body: bytes) -> str:
    """Decode UTF-8, and replace invalid bytes and escapes of lone surrogates as Go's decoder does.

    Raises:
        InvalidRequest: There are too many of them.
    """
    is_large = len(body) > MAX_LENIENT_BYTES
    surrogates = body.count(b"\\ud") + body.count(b"\\uD")
    try:
        if is_large and surrogates > _MAX_SURROGATES:
            raise InvalidRequest(
                f"more than {_MAX_SURROGATES} escaped surrogates, of which some may be lone, in a "
                f"body of more than {MAX_LENIENT_BYTES} bytes; send characters in UTF-8"
            )
        text = body.decode("utf-8", errors="strict" if is_large else "replace")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"a body of more than {MAX_LENIENT_BYTES} bytes must be valid UTF-8: {error}"
        ) from error
    return _SURROGATE_ESCAPE.sub(_replace_lone, text) if surrogates else text


def _replace_lone(escape: re.Match[str]) -> str:
    return f"{escape[1]}\ufffd" if escape[2] else escape[0]


def _is_deep(value: object) -> bool:
    """Return whether ``value`` is nested deeper than `MAX_DEPTH`, without recursion."""
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        level = [
            item
            for container in level
            for item in (container.values() if type(container) is dict else container)
            if type(item) in _CONTAINERS
        ]
    return bool(level)


def _go_text(error: json.JSONDecodeError) -> str:
    at_end = error.pos >= len(error.doc.rstrip(_SPACE)) or error.msg.startswith("Unterminated")
    if at_end:
        return "unexpected EOF"
    character = json.dumps(error.doc[error.pos])[1:-1]
    return f"invalid character '{character}' looking for beginning of value"


def replace_surrogates(value: object) -> object:
    """Replace lone surrogates in every string of ``value``, as Go's decoder does."""
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [replace_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {replace_surrogates(key): replace_surrogates(item) for key, item in value.items()}
    return value


def fold_keys(value: JsonObject) -> JsonObject:
    """Lower-case the keys of one object; if several become equal, the last one wins."""
    if "".join(value).islower():
        return value  # nearly always
    return {key.lower(): item for key, item in value.items()}


def json_type(value: object) -> str:
    """Return the JSON type of ``value`` as Go's decoder names it."""
    if isinstance(value, bool):
        return "bool"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


class Fields:
    """Typed access to one object.

    Every method but `raw` raises `InvalidRequest`, with the text of Go's decoder, for a value of
    the wrong type, and returns the default for null or a missing value.
    """

    __slots__ = ("_struct", "_values")

    def __init__(self, values: JsonObject, struct: str) -> None:
        self._values = values
        self._struct = struct

    @classmethod
    def parse(cls, body: bytes, struct: str) -> "Fields":
        """Decode a request body; see `parse_object`."""
        return cls(parse_object(body, struct), struct)

    def raw(self, name: str) -> object:
        """Return the value as it was sent, None if absent."""
        return self._values.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        value = self._values.get(name)  # as in `_typed`, but a third faster
        if value is None:
            return default
        if type(value) is not str:
            raise self._mismatch(name, "string")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean."""
        return self._typed(name, bool, "bool", default)

    def integer(self, name: str, default: int = 0) -> int:
        """Return a whole number."""
        value = self._typed(name, int, "int", default)
        if not -MAX_INT64 <= value <= MAX_INT64:
            raise self._mismatch(name, "int")
        return value

    def list(self, name: str) -> list[object]:
        """Return an array, empty if absent."""
        return self._typed(name, list, "[]", None) or []

    def object(self, name: str) -> JsonObject:
        """Return an object, empty if absent."""
        return self._typed(name, dict, "map", None) or {}

    def _typed(
        self, name: str, kind: type[_Value], go_type: str, default: _Default
    ) -> _Value | _Default:
        value = self._values.get(name)
        if value is None:
            return default
        if type(value) is not kind:  # a boolean isn't a number here
            raise self._mismatch(name, go_type)
        return value

    def _mismatch(self, name: str, go_type: str) -> InvalidRequest:
        found = json_type(self._values[name])
        return InvalidRequest(
            f"json: cannot unmarshal {found} into Go struct field "
            f"{self._struct}.{name} of type {go_type}"
        )
