"""Generate's ``context``: the conversation so far, packed into a list of integers.

Ollama's integers are tokens, and all that a client can do with them is to send them with the next
request. Here each integer carries three bytes of the conversation's JSON, so that a conversation
over ``/api/generate`` continues as with Ollama. A list that another server made, or that was cut,
is ignored.

A list is several times as large as its conversation, and is sent twice with each request. So a long
conversation has none: whoever has one sends its messages to ``/api/chat``.
"""

import json
from typing import cast

from proxy_service.wire.reading import decode_reply

Turn = tuple[str, str]

# The first integer of every list, so that another server's tokens aren't mistaken for turns.
_MAGIC_NUMBER = 0x7EC0DE
_BYTES_PER_NUMBER = 3
# Bytes of a conversation's JSON. The context of 2,048 tokens that programs with `context` were
# written for has some 8 KiB.
MAX_CONTEXT_BYTES = 256 * 1024


def fits(turns: list[Turn]) -> bool:
    """Return whether turns, pairs of role and text, may be short enough for a context."""
    return sum(len(text) for _, text in turns) <= MAX_CONTEXT_BYTES


def encode_turns(turns: list[Turn]) -> list[int]:
    """Pack turns, pairs of role and text, into integers below 2^24.

    Return an empty list if they are longer than `MAX_CONTEXT_BYTES`.
    """
    if not fits(turns):
        return []
    data = json.dumps(turns, separators=(",", ":")).encode("ascii")
    if len(data) > MAX_CONTEXT_BYTES:
        return []
    data += b" " * (-len(data) % _BYTES_PER_NUMBER)
    numbers = [
        int.from_bytes(data[i : i + _BYTES_PER_NUMBER], "big")
        for i in range(0, len(data), _BYTES_PER_NUMBER)
    ]
    return [_MAGIC_NUMBER, *numbers]


def decode_turns(context: tuple[int, ...]) -> list[Turn]:
    """Unpack a list that `encode_turns` made; return no turns for any other list."""
    if not context or context[0] != _MAGIC_NUMBER:
        return []
    if len(context) * _BYTES_PER_NUMBER > MAX_CONTEXT_BYTES + 2 * _BYTES_PER_NUMBER:
        return []
    try:
        data = b"".join(number.to_bytes(_BYTES_PER_NUMBER, "big") for number in context[1:])
        turns = cast("list[object]", decode_reply(data))
        return [_turn(item) for item in turns]
    except (OverflowError, TypeError, ValueError):
        return []


def _turn(item: object) -> Turn:
    role, text = cast("list[object]", item)
    if role not in ("user", "assistant") or not isinstance(text, str):
        raise ValueError(role)
    return str(role), text
