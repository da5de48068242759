"""Writes compact JSON, with `msgspec` or, where that fails, with the standard library."""

import json
from collections.abc import Iterator
from typing import Final

import msgspec

# No value written here can contain itself, so the encoder needn't check.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_encode_fast = msgspec.json.Encoder().encode
# Characters of a text that are written in one step.
_STEP_CHARACTERS: Final = 1024 * 1024
# Values that are looked at for long texts.
_MOST_VALUES: Final = 20_000


def to_text(value: object) -> str:
    """Return ``value`` as JSON text in ASCII."""
    return _encode(value)


def to_json(value: object) -> bytes:
    """Return ``value`` as JSON in UTF-8; NaN and infinities become null.

    `msgspec` refuses lone surrogates. The standard library escapes them, so that they arrive as
    they were sent.
    """
    try:
        return _encode_fast(value)
    except UnicodeEncodeError:
        return _encode(value).encode("ascii")


def to_json_in_steps(value: object) -> bytes:
    """Return the same as `to_json`, in steps between which another thread can run.

    A text of 50 MB, such as an image, would otherwise keep all other threads from running for a
    tenth of a second.
    """
    try:
        return b"".join(_pieces(value, iter(range(_MOST_VALUES))))
    except UnicodeEncodeError:
        return to_json(value)


def _pieces(value: object, left: Iterator[int]) -> Iterator[bytes]:
    """Yield JSON in pieces; ``left`` yields something for each value that is looked at."""
    if isinstance(value, str) and len(value) > _STEP_CHARACTERS:
        yield b'"'
        for start in range(0, len(value), _STEP_CHARACTERS):
            yield _encode_fast(value[start : start + _STEP_CHARACTERS])[1:-1]
        yield b'"'
    elif isinstance(value, list) and value and next(left, None) is not None:
        for position, item in enumerate(value):
            yield b"," if position else b"["
            yield from _pieces(item, left)
        yield b"]"
    elif isinstance(value, dict) and value and next(left, None) is not None:
        for position, (key, item) in enumerate(value.items()):
            yield b"," if position else b"{"
            yield _encode_fast(key)
            yield b":"
            yield from _pieces(item, left)
        yield b"}"
    else:
        yield _encode_fast(value)
