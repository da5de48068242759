"""Large inputs that are made of small units, in the places where the services read something.

A frame is an input with slots. Each slot is filled with units, one after the other, until the input
has its size. What takes long is rarely one long thing: it is ten thousand small ones, in a place
where each costs more than it seems.

Slots: ``@V`` JSON values, ``@M`` members of a JSON object, ``@S`` the inside of a JSON string,
``@E`` events, ``@R`` other bytes, ``@G`` a whole GGUF file. In a unit, ``#`` is the number of its
repetition.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random

MAX_SIZE = 1_000_000

# How many bytes can arrive at once: a slow network's segment, and the event loop's read.
PIECES = (512, 8192, 65_536)
_SLOT = re.compile(rb"@([VMSERG])")
_SEPARATORS = {b"V": b",", b"M": b",", b"S": b"", b"E": b"", b"R": b""}


def _nested(opening: bytes, inside: bytes, closing: bytes, levels: int) -> bytes:
    return opening * levels + inside + closing * levels


_CALL = b'{"id":"#","function":{"name":"f","arguments":{"a":1}}}'
UNITS: dict[bytes, tuple[bytes, ...]] = {
    b"V": (
        *(b"1", b"#", b"-0.5", b"1e5", b"1e300", b"4.9406564584124654e-324", b"1e999", b"NaN"),
        *(b"1" * 19, b"1" * 25, b"1" * 400, b"1" * 4000, b"0." + b"1" * 400, b"null", b"true"),
        *(b'""', b'"a"', b'"#"', b'"\\u00e4"', b'"\\ud83d"', b'"\\ud83d\\ude00"', b'"\xc3\xa4"'),
        *(b'"\xff"', b'"QUJD"', b'"data:,"', b'"' + b"a" * 100 + b'"', b'"aaaaaaab"'),
        *(b"[]", b"{}", b"[[]]", b"[1,[1]]", b'{"a":1}', b'{"#":1}', b'{"A":{"a":{}}}', b"[{},[]]"),
        *(_nested(b"[1,", b"1", b"]", 100), _nested(b'{"a":', b"1", b"}", 100)),
        *(_nested(b"[ ", b"", b" ]", 240), _nested(b"[", b"", b"]", 500)),
        # Messages and their parts.
        *(b'{"role":"user","content":"x"}', b'{"Role":"user","content":"x"}', b'{"role":"user"}'),
        *(b'{"role":"#","content":"x"}', b'{"role":"tool","content":"x"}', b'{"role":"system"}'),
        *(b'{"role":"tool","tool_name":"f"}', b'{"role":"tool","tool_call_id":"#"}'),
        *(b'{"role":"user","images":["QUJD"]}', b'{"role":"assistant","thinking":"x"}'),
        *(_CALL, b'{"role":"assistant","tool_calls":[%b]}' % _CALL, b'{"tool_calls":[{}]}'),
        *(b'{"role":"assistant","tool_calls":[{}]},{"role":"tool"}', b'{"function":{"name":"f#"}}'),
        *(b'{"type":"function","function":{"name":"f#","parameters":{"type":"object"}}}',),
        *(b'{"type":"text","text":"x"}', b'{"type":"image_url","image_url":{"url":"data:,"}}'),
        *(b'{"type":"namespace","tools":[]}', b'{"function":{"arguments":{}}}'),
        # Replies.
        *(b'{"index":#,"embedding":[0.1,1e300]}', b'{"index":#,"embedding":[]}'),
        *(b'{"token":"x","logprob":-0.5,"bytes":[120],"top_logprobs":[]}', b'{"logprob":0}'),
        *(b'{"id":"m#"}', b'{"id":"/a/m","details":{"families":[]}}', b'{"id":"default"}'),
        *(b'{"index":#,"id":"#","function":{"name":"f","arguments":"{}"}}',),
        *(b'{"index":0,"function":{"arguments":"[1,"}}', b'{"delta":{"content":"x"}}'),
        *(b'{"minItems":1}', b'{"enum":["#"]}', b'{"dtype":"F32","shape":[#,2]}'),
    ),
    b"M": (
        *(b'"a":1', b'"#":1', b'"K#":1', b'"\\u0061#":1', b'"\xc3\xa4#":1', b'"\\ud83d":1'),
        *(
            b'"#":{}',
            b'"#":[]',
            b'"#":"x"',
            b'"#":1e300',
            b'"#":4.94e-324',
            b'"#":null',
            b'"":0',
            b'"stop":["#"]',
        ),
        *(b'"a#":{"dtype":"F32","shape":[1,2]}', b'"#":{}', b'"url":"x"', b'"file_id":""'),
    ),
    b"S": (
        *(b"a", b"aaaaaaab", b"ab", b" ", b"\\n", b"\\\\", b'\\"', b"\\u00e4", b"\\ud83d", b"\xff"),
        *(b"\\ud83d\\ude00", b"\\\\ud83d", b"\xc3\xa4", b"\xf0\x9f\x98\x80", b"\xed\xa0\xbd"),
        *(
            b"\\u0000",
            b"1",
            b"1e11",
            b"[",
            b"{",
            b",",
            b"[]{},",
            b"QUJD",
            b"QUJD\\r\\n",
            b"=",
            b"<think>",
        ),
        *(b"</think>", b"<tool_call>{}</tool_call>", b"data: ", b":", b"/", b".", b"1h", b"#"),
        *(b"#1,", b"raise_exception(", b"NaN"),
    ),
    b"R": (
        *(b"a", b" ", b"a: b\r\n", b"a#: b\r\n", b"ab:\r\n", b"1\r\na\r\n", b"2;a=b\r\nab\r\n"),
        *(b"00000001\r\na\r\n", b"\r\n", b"\n", b"\r", b".example", b"1.", b"%41", b"?a=b&"),
        *(b"\x00", b"a:b,", b"[", b"\xff", b"x" * 1000),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ),
}
_DELTAS = (
    *(b'"content":"x"', b'"content":""', b'"content":"aaaaaaab"'),
    b'"content":"%b"' % (b"a" * 39),
    *(b'"content":"a"', b'"content":"\\ud83d"', b'"content":"<think>"', b'"content":"</think>"'),
    *(b'"content":"\\n"', b'"content":"\xc3\xa4"', b'"reasoning_content":"x"', b'"content":"#"'),
    b'"tool_calls":[{"index":#,"id":"#","function":{"name":"f","arguments":""}}]',
    b'"tool_calls":[{"index":0,"function":{"arguments":"1"}}]',
    b'"tool_calls":[{"function":{"name":"f","arguments":"{}"}}]',
    b'"tool_calls":[{},{},{},{}]',
)
_LOGPROB = b'"logprobs":{"content":[{"token":"a","logprob":-1.5,"top_logprobs":[]}]},'
UNITS[b"E"] = (
    *(b'data: {"choices":[{"delta":{%b}}]}\n\n' % delta for delta in _DELTAS),
    *(b'data: {"choices":[{%b"delta":{%b}}]}\n\n' % (_LOGPROB, delta) for delta in _DELTAS[:5]),
    *(b"data: x\n\n", b"data:\n\n", b"data:\n", b"data: x\n", b"\n", b"\r", b"\r\n", b":\n"),
    *(
        b"a\n",
        b"event: a\n",
        b"event: ping\ndata: {}\n\n",
        b'data: {"choices":[]}\n\n',
        b": ping\n\n",
    ),
    b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n',
    b'event: content_block_delta\ndata: {"delta":{"text":"x"}}\n\n',
    b'data: {"choices":[{"delta":{"content":"x"}}],"usage":{"completion_tokens":1}}\r\n\r\n',
)

_END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
_EVENTS = (
    b"@E" + _END,
    b'data: {"choices":[{"delta":{"content":"@S"}}]}\n\n' + _END,
    b'data: {"choices":[{"delta":{"reasoning_content":"@S"}}]}\n\n' + _END,
    b'data: {"choices":[{"delta":{"tool_calls":[@V]}}]}\n\n' + _END,
    b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"arguments":"@S"}}]}}]}\n\n' + _END,
    b'data: {"choices":[{"delta":{"content":"x"},"logprobs":{"content":[@V]}}]}\n\n' + _END,
    b'data: {"choices":[{"delta":{"content":"x"}}],"x":[@V]}\n\n' + _END,
    b'data: {"choices":[{"delta":{"content":"x"}}],"usage":{@M}}\n\n@E' + _END,
    b'data: {"error":"@S"}\n\n',
    b"data: @S\n\n",
    b"event: @S\ndata: {}\n\n@E",
)
_POST = b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n"
_ANY = (b"@V", b"[@V]", b"{@M}", b'"@S"', b"@S", b'{"x":[@V]}', b'{@M,"x":[@V]}')
_ARGUMENTS = b'{"function":{"name":"f","arguments":{@M}}}'
_ARGUMENTS_TEXT = b'{"function":{"name":"f","arguments":"{@S}"}}'
_MESSAGES = (
    b'{"model":"m","messages":[@V]}',
    b'{"model":"m","messages":[@V,@V]}',
    b'{"model":"m","messages":[{"role":"user","content":"@S"}]}',
    b'{"model":"m","messages":[{"role":"@S","content":""}]}',
    b'{"model":"m","messages":[{"role":"user","content":[@V]}]}',
    b'{"model":"m","messages":[{"role":"assistant","content":"","tool_calls":[@V]},@V]}',
    b'{"model":"m","messages":[{"role":"assistant","tool_calls":[%b]}]}' % _ARGUMENTS,
    b'{"model":"m","messages":[{"role":"assistant","tool_calls":[%b]}]}' % _ARGUMENTS_TEXT,
    b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[@V]}',
    b'{"model":"@S","messages":[]}',
    b'{"model":"m","stop":[@V],"messages":[]}',
)
_SCHEMA = b'{"type":"json_schema","json_schema":{"name":"x","schema":{"enum":[@V]}}}'
# By the name of the work that they are for.
FRAMES: dict[str, tuple[bytes, ...]] = {
    "chat": (
        *_ANY,
        *_MESSAGES,
        b'{"model":"m","messages":[{"role":"user","content":"x","images":[@V]}]}',
        b'{"model":"m","messages":[{"role":"user","content":"x","images":["@S"]}]}',
        b'{"model":"m","options":{@M}}',
        b'{"model":"m","options":{"stop":[@V]}}',
        b'{"model":"m","format":{"enum":[@V]}}',
        b'{"model":"m","format":"@S"}',
        b'{"model":"m","think":"@S"}',
        b'{"model":"m","keep_alive":"@S"}',
    ),
    "generate": (
        *_ANY,
        b'{"model":"m","prompt":"@S"}',
        b'{"model":"m","prompt":"x","images":[@V]}',
        b'{"model":"m","prompt":"x","context":[@V]}',
        b'{"model":"m","prompt":"x","context":[8307934,@V]}',
        b'{"model":"m","prompt":"x","raw":true,"format":{@M}}',
        b'{"model":"m","prompt":"x","system":"@S"}',
    ),
    "embed": (*_ANY, b'{"model":"m","input":[@V]}', b'{"model":"m","input":"@S"}'),
    "models": (*_ANY, b'{"model":"@S"}', b'{"name":"@S/@S:@S"}'),
    "openai": (*_ANY, *_MESSAGES, b'{"model":"m","input":[@V]}', b'{"response_format":{@M}}'),
    "engine_chat": (
        *_MESSAGES,
        b'{"messages":[{"role":"user","content":"x"}],"logit_bias":{@M}}',
        b'{"messages":[{"role":"user","content":"x"}],"response_format":%b}' % _SCHEMA,
        b'{"messages":"@S","dry_sequence_breakers":[@V]}',
        b'{"messages":"x","grammar":{"type":"json_schema","value":"@S"}}',
    ),
    "engine_completion": (b'{"prompt":"@S"}', b'{"prompt":"x","logit_bias":{@M}}', b"{@M}"),
    "incoming": (
        b"@R",
        b"GET /@R HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /?@R HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://@R HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: @R\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://@R\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nOrigin: https://@R.example.@R\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer @R\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n@R\r\n\r\n",
        _POST + b"Content-Length: 1000000\r\n\r\n@R",
        _POST + b"Transfer-Encoding: chunked\r\n\r\n@R0\r\n\r\n",
        _POST + b"Transfer-Encoding: chunked\r\n\r\n1;@R\r\na\r\n0\r\n\r\n",
        _POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n@R\r\n",
        _POST + b"Connection: @R\r\n\r\n",
    ),
    **dict.fromkeys(
        ("chat_stream", "generate_stream", "stopped_stream", "passed_on_stream", "events"), _EVENTS
    ),
    "reply": (
        b"@R",
        b"HTTP/1.1 200 OK\r\n@R\r\n\r\n",
        b"HTTP/1.1 200 @R\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n@R",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n@R0\r\n\r\n",
    ),
    "completion": (
        *_ANY,
        b'{"choices":[{"message":{"content":"@S"}}]}',
        b'{"choices":[{"text":"@S"}]}',
        b'{"choices":[{"message":{"reasoning_content":"@S"}}]}',
        b'{"choices":[{"message":{"tool_calls":[@V]}}]}',
        b'{"choices":[{"message":{"tool_calls":[%b]}}]}' % _ARGUMENTS_TEXT,
        b'{"choices":[{"message":{"content":"x"},"logprobs":{"content":[@V]}}]}',
        b'{"choices":[{"text":"x","logprobs":{"content":[{"logprob":0,"token":"@S"}]}}]}',
        b'{"choices":[@V],"usage":{@M}}',
    ),
    "passed_on": (*_ANY, b'{"choices":[@V]}', b'{"usage":{@M}}', b'{"data":[@V]}'),
    "embeddings": (
        b'{"data":[@V]}',
        b'{"data":[],"usage":{@M}}',
        b'{"data":[{"index":0,"embedding":[@V]}]}',
        *_ANY,
    ),
    "engine_error": (*_ANY, b'{"message":"@S"}', b'{"error":{"message":"@S","x":[@V]}}', b"<@S"),
    "model_list": (b'{"data":[@V]}', b'{"data":[{"id":"@S"}]}', b'{"data":[{"id":"m",@M}]}', *_ANY),
    "gguf": (b"@G",),
    "safetensors": (b"{@M}", b'{"a":{"dtype":"F32","shape":[@V]}}', b'{"a":{"dtype":"@S"}}'),
}


_LONGEST_TOKEN = 200  # pieces
# Arrays in a GGUF file: the type of the items, and an item.
_GGUF_ARRAYS = {
    b"strings": (8, struct.pack("<Q", 0)),
    b"booleans": (7, b"\1"),
    b"bytes": (0, b"\x7f"),
    b"numbers": (10, b"\xff" * 8),
    b"floats": (12, b"\1" * 8),
}
UNITS[b"G"] = (b"tensors", b"pairs", *_GGUF_ARRAYS, b"a", b"ab", b"\xe2\x96\x81", b"\xff")


def _gguf(unit: bytes, size: int) -> bytes:
    """Return a GGUF file full of tensors, metadata, items of an array, or tokens like the unit."""
    head = b"GGUF" + struct.pack("<I", 3)
    if unit in (b"tensors", b"pairs"):
        is_tensors = unit == b"tensors"
        item = struct.pack("<QIIQ", 0, 0, 0, 0) if is_tensors else struct.pack("<QII", 0, 4, 0)
        number = size // len(item)
        counts = (number, 0) if is_tensors else (0, number)
        return head + struct.pack("<QQ", *counts) + item * number
    if unit in _GGUF_ARRAYS:
        code, item = _GGUF_ARRAYS[unit]
        number = size // len(item)
        return head + struct.pack("<QQQIIQ", 0, 1, 0, 9, code, number) + item * number
    return head + _gguf_vocabulary(unit, size)


def _gguf_vocabulary(unit: bytes, size: int) -> bytes:
    """Return the counts and metadata of a SentencePiece vocabulary of longer and longer tokens."""
    tokens: list[bytes] = []
    left = size
    while left > 0:
        group, length = divmod(len(tokens), _LONGEST_TOKEN)
        piece = chr(0x4E00 + group).encode() if group else unit
        tokens.append(piece * (length + 1))
        left -= len(tokens[-1]) + 16

    def text(value: bytes) -> bytes:
        return struct.pack("<Q", len(value)) + value

    def array(key: bytes, code: int, items: bytes) -> bytes:
        head = text(b"tokenizer.ggml." + key) + struct.pack("<IIQ", 9, code, len(tokens))
        return head + items

    return (
        struct.pack("<QQ", 0, 4)
        + (text(b"tokenizer.ggml.model") + struct.pack("<I", 8) + text(b"llama"))
        + array(b"tokens", 8, b"".join(map(text, tokens)))
        + array(b"token_type", 5, struct.pack("<i", 1) * len(tokens))
        + array(b"scores", 6, struct.pack("<f", 0) * len(tokens))
    )


def _filled(kind: bytes, units: list[bytes], size: int) -> bytes:
    """Repeat units until they have this size."""
    if kind == b"G":
        return _gguf(units[0], size)
    separator = _SEPARATORS[kind]
    parts: list[bytes] = []
    left = size
    while left > 0:
        number = len(parts)
        parts.append(units[number % len(units)].replace(b"#", b"%d" % number))
        left -= len(parts[-1]) + len(separator)
    return separator.join(parts)


@dataclass(frozen=True)
class Shape:
    """An input for some work: a frame, units for its slots by their kind, and its size in bytes.

    `piece` is how many bytes arrive at once.
    """

    work: str
    frame: bytes
    units: tuple[tuple[bytes, bytes], ...]
    size: int
    piece: int = 65_536

    def data(self) -> bytes:
        """Return the input."""
        slots = slots_of(self.frame)
        share = max(self.size - len(self.frame), 0) // len(slots)

        def fill(slot: re.Match[bytes]) -> bytes:
            units = [unit for kind, unit in self.units if kind == slot[1]]
            return _filled(slot[1], units or [UNITS[slot[1]][0]], share)

        data = _SLOT.sub(fill, self.frame)
        return struct.pack("<Q", len(data)) + data if self.work == "safetensors" else data


def slots_of(frame: bytes) -> list[bytes]:
    """Return the kinds of a frame's slots."""
    return _SLOT.findall(frame)


def shapes_of(work: str, size: int) -> Iterator[Shape]:
    """Yield each frame of some work with each unit."""
    for frame in FRAMES[work]:
        kind = slots_of(frame)[0]
        for unit in UNITS[kind]:
            yield Shape(work, frame, ((kind, unit),), size)


def random_shape(work: str, random: Random) -> Shape:
    """Return a shape of random units and a random size."""
    frame = random.choice(FRAMES[work])
    kinds = dict.fromkeys(slots_of(frame))
    units = [
        (kind, random_unit(kind, random)) for kind in kinds for _ in range(random.choice((1, 1, 2)))
    ]
    size = round(MAX_SIZE ** random.uniform(0.75, 1))
    return Shape(work, frame, tuple(units), size, random.choice(PIECES))


def changed(shape: Shape, random: Random) -> Shape:
    """Return a shape that differs in one respect."""
    match random.randrange(4):
        case 0:
            return replace(shape, frame=random.choice(FRAMES[shape.work]))
        case 1:
            return replace(shape, size=random.choice((MAX_SIZE, MAX_SIZE // 3, MAX_SIZE // 10)))
        case 2:
            return replace(shape, piece=random.choice(PIECES))
        case _:
            kind = random.choice(slots_of(shape.frame))
            kept = [unit for unit in shape.units if random.random() < 0.7]
            return replace(shape, units=(*kept, (kind, random_unit(kind, random))))


def random_unit(kind: bytes, random: Random) -> bytes:
    """Return one of the units, or one that is made of two."""
    unit = random.choice(UNITS[kind])
    if kind == b"G" or random.random() < 0.6:
        return unit
    other = random.choice(UNITS[kind])
    if kind == b"V":
        return random.choice((b"[%b,%b]", b'{"a":%b,"#":%b}', b"%b,%b")) % (unit, other)
    return unit + _SEPARATORS[kind] + other
