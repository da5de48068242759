"""The numbers in a schema that end the engine for everybody. Pure functions.

The engine's grammar negates the bounds of a whole number in 64 bits. If both bounds are -2^63 or
less, the upper one stays negative, and the grammar recurses until its stack overflows. ``const``
and ``enum`` are both bounds at once. Source: ``rx_int_range`` in ``json/numeric.rs`` and
``json_int`` in ``json/compiler.rs`` of llguidance 1.4.0, which Mistral.rs 0.8.1 and 0.9.2 use.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from proxy_service.errors import InvalidRequest
from proxy_service.translate.schemas.keywords import VALUES
from proxy_service.wire import JsonObject

# The largest of these numbers: as a double, which the grammar reads, it is -2^63.
_HIGHEST: Final = -(2**63) + 512
_BOUNDS: Final = VALUES | {"maximum", "exclusiveMaximum"}
# What isn't a schema in the body of a request, and may contain anything.
_CONVERSATION: Final = {"messages", "input", "prompt", "suffix", "system", "instructions"}
# A schema within a Lark grammar.
_JSON_DIRECTIVE: Final = re.compile(r"%json\s*(?=\{)")
_MAX_QUOTED = 32
_decoder = json.JSONDecoder()


def has_deadly_number(value: object) -> bool:
    """Return whether a number in ``value``, however deep, ends the engine as a schema's value."""
    return any(map(_is_deadly, _within(value)))


def refuse_deadly_numbers(body: JsonObject) -> None:
    """Check every schema and grammar in the body of a request to ``/v1``.

    Engines differ in which schemas they compile: Mistral.rs 0.9.2 compiles those of tools, too.

    Raises:
        InvalidRequest: One of them would end the engine.
    """
    for key, value in body.items():
        name = key.lower()
        if name in _CONVERSATION:
            continue
        refuse_in_schemas(value)
        if name == "grammar":
            refuse_in_schemas(list(_embedded(value)))


def refuse_in_schemas(value: object) -> None:
    """Check every object within ``value`` as if it were a schema, since a ``$ref`` can name it.

    Raises:
        InvalidRequest: One of them would end the engine.
    """
    left: list[tuple[str, object]] = [("", value)]  # each with the keyword that it belongs to
    while left:
        keyword, part = left.pop()
        if isinstance(part, dict):
            left += [(keyword or _keyword(key), item) for key, item in part.items()]
        elif isinstance(part, list | tuple):
            left += [(keyword, item) for item in part]
        elif keyword and _is_deadly(part):
            raise InvalidRequest(
                f"the engine can't compile a schema with {str(part)[:_MAX_QUOTED]} in "
                f"'{keyword}'; use a number above {_HIGHEST}"
            )


def _keyword(key: str) -> str:
    return key if key in _BOUNDS else ""


def _is_deadly(value: object) -> bool:
    return isinstance(value, int | float) and value <= _HIGHEST


def _embedded(grammar: object) -> Iterator[object]:
    """Iterate over the schemas that Lark grammars have after ``%json``."""
    for text in _within(grammar):
        if isinstance(text, str):
            for directive in _JSON_DIRECTIVE.finditer(text):
                with suppress(ValueError, RecursionError):  # the engine refuses it
                    yield _decoder.raw_decode(text, directive.end())[0]


def _within(value: object) -> Iterator[object]:
    """Iterate over ``value`` and everything within it, without recursion."""
    left = [value]
    while left:
        part = left.pop()
        yield part
        if isinstance(part, dict):
            left.extend(part.values())
        elif isinstance(part, list | tuple):
            left.extend(part)
