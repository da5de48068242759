"""Writes JSON: compact, by `msgspec`, and by the standard library what that refuses."""

import json

import msgspec

# Nothing that is written here can contain itself, so that need not be looked for.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_encode_fast = msgspec.json.Encoder().encode


def to_text(value: object) -> str:
    """Write ``value`` as JSON text of nothing but ASCII."""
    return _encode(value)


def to_json(value: object) -> bytes:
    """Write ``value`` as JSON bytes, text in UTF-8; what is no number becomes null.

    `msgspec` refuses lone surrogates, which only whoever sent them can mean.
    """
    try:
        return _encode_fast(value)
    except UnicodeEncodeError:
        return _encode(value).encode("ascii")
