"""Writes compact JSON, with `msgspec` or, where that fails, with the standard library."""

import json

import msgspec

# No value written here can contain itself, so the encoder needn't check.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_encode_fast = msgspec.json.Encoder().encode


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
