"""Writes JSON: compact, ASCII only, by one encoder that is made once.

``json.dumps`` makes an encoder at each call that asks for anything but its defaults.
"""

import json

# Nothing that is written here can contain itself, so that need not be looked for.
_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def to_text(value: object) -> str:
    """Write ``value`` as JSON text."""
    return _encode(value)


def to_json(value: object) -> bytes:
    """Write ``value`` as JSON bytes."""
    return _encode(value).encode("ascii")
