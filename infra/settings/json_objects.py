"""Settings whose value is a JSON object."""

import json
from collections import Counter
from typing import Any


def json_object(text: str, example: str) -> dict[str, Any]:
    """Read a JSON object; the message of an error for another value shows an example.

    Raises:
        ValueError: It isn't one, a key is given twice, or a text can't be written as UTF-8.
    """
    try:
        given = json.loads(text, object_pairs_hook=_without_doubles)
    except (json.JSONDecodeError, RecursionError):
        given = None
    if isinstance(given, dict):
        return _writable(given)
    raise ValueError(f"{text!r} is not a JSON object such as {example}")


def _writable(given: dict[str, Any]) -> dict[str, Any]:
    """Return what was given, unless it can't be written to a file."""
    try:
        json.dumps(given, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(r"it has half of a surrogate pair, such as \ud800") from None
    return given


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON's parser would keep the last one without a word."""
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise ValueError(f"{name} is given twice")
    return dict(pairs)
