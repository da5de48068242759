"""What inputs cost, counted instead of timed: executed lines, and bytes of memory.

`make fuzz` measures many more inputs, and their time.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from tests.fuzz.cost import BYTES, MEMORY, call_of, peak_bytes
from tests.fuzz.shapes import FRAMES, Shape, slots_of

_SMALL, _LARGE = 8_000, 32_000  # bytes
_GROWTH = 1.2 * _LARGE / _SMALL
_ONCE = 1.2 * _LARGE  # lines or bytes of what is done only above a size
# A line takes 25 to 50 ns, so this is about 20 ms for 100 KB.
_LINES_PER_BYTE = 8
# Units that have been expensive somewhere, or that nest, escape or repeat.
_UNITS: dict[bytes, tuple[bytes, ...]] = {
    b"V": (
        b"{}",
        b'"#"',
        b'{"role":"assistant","tool_calls":[{}]},{"role":"tool"}',
        b"[1,[1,[1]]]",
        b'{"id":"#","function":{"name":"f","arguments":{}}}',
        b"1e300",
        b'{"logprob":0,"token":"a"}',
    ),
    b"M": (b'"#":{}', b'"K#":1e300'),
    b"S": (b"\\ud83d", b"a", b"\xff", b"\\\\"),
    b"E": (
        b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % (b"a" * 39),
        b'data: {"choices":[{"delta":{"content":""},"logprobs":{"logprob":0}}]}\n\n',
        b'data: {"choices":[{"delta":{"tool_calls":[{"index":#,"function":{}}]}}]}\n\n',
        b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"1"}}]}}]}\n\n',
        b"data:\n\n",
        b":\n",
    ),
    b"R": (b"1\r\na\r\n", b"a#: b\r\n", b".example"),
    b"G": (b"tensors", b"strings", b"a"),
}
_CALLS = b'{"model":"m","messages":[{"role":"assistant","content":"","tool_calls":[@V]},@V]}'
_STREAM = FRAMES["chat_stream"][0]
# The most expensive ones that a search has found, and those that were before they were fixed.
_EXPENSIVE = (
    Shape("chat", _CALLS, ((b"V", b"{}"),), BYTES),
    Shape("chat", _CALLS, ((b"V", b'{"role":"tool"}'),), BYTES),
    Shape("chat", b'{"messages":[@V]}', ((b"V", b"{}"),), BYTES),
    Shape("chat", b'{"messages":[@V]}', ((b"V", b'{"A":{"a":{}}}'),), BYTES),
    Shape("chat", b'{"messages":[@V]}', ((b"V", _UNITS[b"V"][2]),), BYTES),
    Shape("chat", b'{"tools":[@V]}', ((b"V", b"{}"),), BYTES),
    Shape("chat", b"[@V]", ((b"V", b"[" * 250 + b"]" * 250),), BYTES),
    Shape("chat", b'["\\ud83d",@V]', ((b"V", b'{"a":1}'),), BYTES),
    Shape("chat", b'{"x":"@S"}', ((b"S", b"1e11"),), BYTES),
    Shape("openai", b'{"messages":[@V]}', ((b"V", b"[[1]]"),), BYTES),
    Shape("generate", b'{"prompt":"@S"}', ((b"S", b"\xff"),), BYTES),
    Shape("completion", b'{"choices":[{"message":{"tool_calls":[@V]}}]}', ((b"V", b"{}"),), BYTES),
    Shape("embeddings", b'{"data":[@V]}', ((b"V", b'{"index":#,"embedding":[]}'),), BYTES),
    Shape("passed_on_stream", _STREAM, ((b"E", b"data:\n\n"),), BYTES),
    Shape("events", _STREAM, ((b"E", b":\n"),), BYTES),
    Shape("gguf", b"@G", ((b"G", b"a"),), BYTES),
    *(Shape("stopped_stream", _STREAM, ((b"E", unit),), BYTES) for unit in _UNITS[b"E"][:2]),
    *(Shape("chat_stream", _STREAM, ((b"E", unit),), BYTES) for unit in _UNITS[b"E"][1:4]),
)


def shapes() -> Iterator[Shape]:
    """Yield units in each place: all of them, or of JSON's values and strings one after another."""
    for work, frames in FRAMES.items():
        for number, frame in enumerate(frames):
            kind = slots_of(frame)[0]
            units = _UNITS[kind]
            if kind in (b"V", b"S"):
                units = (units[number % len(units)],)
            for unit in units:
                yield Shape(work, frame, ((kind, unit),), _LARGE, piece=512)


def name(shape: Shape) -> str:
    return repr((shape.work, shape.frame, shape.units[0][1][:60]))


def lines_of(call: Callable[[], object]) -> int:
    """Return how many lines are executed during a call; each turn of a loop counts."""
    lines = 0

    def trace(_: FrameType, event: str, __: object) -> Any:  # noqa: ANN401  itself
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("shape", [*shapes()], ids=name)
def test_the_cost_grows_no_faster_than_the_input(shape: Shape) -> None:
    large, _ = call_of(shape)
    small, _ = call_of(replace(shape, size=_SMALL))
    large()  # fills caches

    assert lines_of(large) <= _GROWTH * lines_of(small) + _ONCE
    assert peak_bytes(large) <= _GROWTH * peak_bytes(small) + _ONCE


@pytest.mark.parametrize("shape", _EXPENSIVE, ids=name)
def test_an_input_costs_no_more_than_its_size_allows(shape: Shape) -> None:
    call, _ = call_of(shape)
    call()

    assert lines_of(call) <= _LINES_PER_BYTE * BYTES
    assert peak_bytes(call) <= MEMORY * BYTES
