"""Generate's ``context``: the turns so far, packed into the integers that clients hand back.

In Ollama these are the model's tokens, and a client can do nothing with them but send them
with the next request. Here each carries three bytes of the turns' JSON, so that a
conversation over ``/api/generate`` goes on as it does with Ollama. A list that was not made
here (by another server, or cut) is as good as none.
"""

import json
from typing import cast

from proxy_service.wire.reading import decode_reply

Turn = tuple[str, str]

# Opens every list, so that another server's tokens are not mistaken for turns.
_MARK = 0x7EC0DE
_BYTES_PER_NUMBER = 3


def encode_turns(turns: list[Turn]) -> list[int]:
    """Pack turns of (role, text) into integers below 2^24."""
    data = json.dumps(turns, separators=(",", ":")).encode("ascii")
    data += b" " * (-len(data) % _BYTES_PER_NUMBER)
    numbers = [
        int.from_bytes(data[i : i + _BYTES_PER_NUMBER], "big")
        for i in range(0, len(data), _BYTES_PER_NUMBER)
    ]
    return [_MARK, *numbers]


def decode_turns(context: tuple[int, ...]) -> list[Turn]:
    """Unpack what `encode_turns` made; anything else gives no turns."""
    if not context or context[0] != _MARK:
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
