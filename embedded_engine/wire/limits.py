"""Refuse requests that would stop the engine for everybody.

One thread of the wheel reads every prompt and compiles every grammar, so what takes it minutes or
uses up its memory or stack ends all replies. Each limit is far beyond what makes sense. How the
engine fared above them was found by experiment (`mistralrs` 0.9.5).
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from embedded_engine.errors import RefusedRequestError
from embedded_engine.wire.bodies import JsonObject
from embedded_engine.wire.requests import Arguments

# The tokens of most vocabularies are shorter; the longest ones are of spaces. A prompt takes 160
# bytes of memory for each of its own until it is found to be too long.
_LONGEST_TOKEN = 128
# A schema of 290,000 characters overflowed the engine's stack, which ends the process.
_LONGEST_GRAMMAR = 65_536
# The engine writes out every item: `maxItems` of a million kept it busy for minutes.
_MOST_ITEMS = 10_000
_ITEM_COUNTS = ("minItems", "maxItems")
# A schema within a Lark grammar, as llguidance writes it.
_JSON_DIRECTIVE = re.compile(r"%json\s*(?=\{)")
_decoder = json.JSONDecoder()
# An upper bound of a whole number that is -2^63 or less as a double makes the engine overflow its
# stack; the values of `const` and `enum` are bounds as well.
_HIGHEST_DEADLY = -(2**63) + 512
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "const", "enum")


def within_limits(arguments: Arguments, context_length: int | None) -> Arguments:
    """Return the wheel's arguments without a `max_tokens` that the context ends before.

    To truncate a prompt, the engine cuts off what the reply may take, and fails if that is all.

    Args:
        arguments: From `wire.requests`.
        context_length: Longest prompt plus reply of the model, in tokens; None if unknown.

    Raises:
        RefusedRequestError: The prompt can't fit, or the grammar is too large.
    """
    if "grammar" in arguments:
        _check_grammar(arguments["grammar_type"], arguments["grammar"])
    if context_length is None:
        return arguments
    _check_prompt(arguments, context_length)
    if arguments.get("max_tokens", 0) < context_length:
        return arguments
    return {name: value for name, value in arguments.items() if name != "max_tokens"}


def _check_prompt(arguments: Arguments, context_length: int) -> None:
    texts = [message["content"] for message in arguments["messages"]]
    texts += arguments.get("tool_schemas", [])
    if sum(max(1, len(text) // _LONGEST_TOKEN) for text in texts) > context_length:
        raise RefusedRequestError(
            f"Prompt sequence length is greater than {context_length}: it has {len(texts)} "
            f"messages and tools, and {sum(map(len, texts))} characters. Send less."
        )


def _check_grammar(kind: str, grammar: str) -> None:
    if len(grammar) > _LONGEST_GRAMMAR:
        raise RefusedRequestError(
            f"Invalid grammar. It has {len(grammar)} characters; "
            f"the engine takes at most {_LONGEST_GRAMMAR}."
        )
    schemas = _schemas(kind, grammar)
    if _has_deadly_bound(schemas):
        raise RefusedRequestError(
            "Invalid grammar. It has a value or an upper bound that the engine can't represent; "
            f"use a number above {_HIGHEST_DEADLY}."
        )
    items = _items(schemas)
    if items > _MOST_ITEMS:
        raise RefusedRequestError(
            f"Invalid grammar. Its minItems and maxItems add up to {items}; "
            f"the engine takes at most {_MOST_ITEMS}."
        )


def _schemas(kind: str, grammar: str) -> list[object]:
    """Return the JSON in a grammar; what isn't JSON is refused by the engine."""
    found: list[object] = []
    if kind in ("json_schema", "llguidance"):
        with suppress(ValueError, RecursionError):
            found.append(json.loads(grammar))
    if kind == "lark":
        found += _embedded_schemas(grammar)
    if kind == "llguidance":
        found += [schema for text in _lark_texts(found) for schema in _embedded_schemas(text)]
    return found


def _lark_texts(grammars: list[object]) -> list[str]:
    """Return the Lark grammars in one of the type ``llguidance``."""
    texts = []
    for value in _objects(grammars):
        text = value.get("lark_grammar")
        if isinstance(text, str):
            texts.append(text)
    return texts


def _embedded_schemas(lark: str) -> list[object]:
    """Return the schemas that a Lark grammar has after ``%json``."""
    found: list[object] = []
    for position in _JSON_DIRECTIVE.finditer(lark):
        with suppress(ValueError, RecursionError):
            found.append(_decoder.raw_decode(lark, position.end())[0])
    return found


def _items(schemas: list[object]) -> int:
    """Add up the numbers of items that schemas ask for, however deep."""
    total = 0
    for value in _objects(schemas):
        counts = [value.get(name) for name in _ITEM_COUNTS]
        total += sum(max(0, count) for count in counts if isinstance(count, int))
    return total


def _has_deadly_bound(schemas: list[object]) -> bool:
    """Return whether schemas name such a bound or value, however deep."""
    left: list[tuple[bool, Any]] = [(False, schemas)]  # each with whether it has bounds
    while left:
        bounds, container = left.pop()
        items = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in items:
            is_bound = bounds or key in _UPPER_BOUNDS
            if isinstance(value, dict | list):
                left.append((is_bound, value))
            elif is_bound and isinstance(value, int | float) and value <= _HIGHEST_DEADLY:
                return True
    return False


def _objects(values: list[object]) -> Iterator[JsonObject]:
    """Iterate over all objects within ``values``, without recursion."""
    left = [*values]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            yield value
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
