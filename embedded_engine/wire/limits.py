"""Refuse requests that would stop the engine for everybody.

One thread of the wheel reads every prompt and compiles every grammar, so what takes it minutes or
uses up its memory or stack ends all replies. Each limit is far beyond what makes sense. How the
engine fared above them was found by experiment (`mistralrs` 0.9.5).
"""

import json
from contextlib import suppress

from embedded_engine.errors import RefusedRequestError
from embedded_engine.wire.requests import Arguments

# The tokens of most vocabularies are shorter; the longest ones are of spaces. A prompt takes 160
# bytes of memory for each of its own until it is found to be too long.
_LONGEST_TOKEN = 128
# A schema of 290,000 characters overflowed the engine's stack, which ends the process.
_LONGEST_GRAMMAR = 65_536
# The engine writes out every item: `maxItems` of a million kept it busy for minutes.
_MOST_ITEMS = 10_000
_ITEM_COUNTS = ("minItems", "maxItems")
# As a value in `const` or `enum`, this number made the engine overflow its stack.
_DEADLY_VALUE = str(-(2**63))


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
    if _DEADLY_VALUE in grammar:
        raise RefusedRequestError(
            f"Invalid grammar. It contains {_DEADLY_VALUE}, which the engine can't represent; "
            "use a larger number."
        )
    if kind in ("json_schema", "llguidance"):
        items = 0
        # What isn't JSON is refused by the engine.
        with suppress(ValueError, RecursionError):
            items = _items(json.loads(grammar))
        if items > _MOST_ITEMS:
            raise RefusedRequestError(
                f"Invalid grammar. Its minItems and maxItems add up to {items}; "
                f"the engine takes at most {_MOST_ITEMS}."
            )


def _items(schema: object) -> int:
    """Add up the numbers of items that a schema asks for, however deep."""
    total = 0
    left = [schema]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            counts = [value.get(name) for name in _ITEM_COUNTS]
            total += sum(max(0, count) for count in counts if isinstance(count, int))
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return total
