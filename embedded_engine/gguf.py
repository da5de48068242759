"""Read the metadata of a GGUF file: the chat template and the tokenizer that it carries.

Pure over a binary stream. Knows the container format only, nothing of models or engines, and
stops before the tensors. Source: the GGUF specification of ggml, versions 2 and 3.
"""

import struct
from collections.abc import Mapping
from typing import BinaryIO

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# Value type to `struct` code; everything is little-endian.
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}

Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar | list[Scalar]]


class NotGgufError(ValueError):
    """The bytes are not a GGUF file of a version that is known here."""


def read_metadata(stream: BinaryIO) -> dict[str, Scalar | list[Scalar]]:
    """Return all key-value pairs of the GGUF file that `stream` is at the start of.

    Raises:
        NotGgufError: Wrong magic, unknown version or value type, or the file ends early.
    """
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise NotGgufError("it does not begin with the letters GGUF")
    version = _scalar(stream, "I")
    if version not in _VERSIONS:
        raise NotGgufError(f"GGUF version {version} is not one of {_VERSIONS}")
    _tensor_count = _scalar(stream, "Q")
    pairs = int(_scalar(stream, "Q"))
    return {_string(stream): _typed_value(stream) for _ in range(pairs)}


def _typed_value(stream: BinaryIO) -> Scalar | list[Scalar]:
    kind = int(_scalar(stream, "I"))
    if kind != _ARRAY:
        return _value(stream, kind)
    item_kind, length = int(_scalar(stream, "I")), int(_scalar(stream, "Q"))
    if item_kind in _SCALARS:
        return list(_unpack(stream, f"<{length}{_SCALARS[item_kind]}"))
    return [_value(stream, item_kind) for _ in range(length)]


def _value(stream: BinaryIO, kind: int) -> Scalar:
    if kind == _STRING:
        return _string(stream)
    if kind not in _SCALARS:
        raise NotGgufError(f"value type {kind} is unknown")
    return _scalar(stream, _SCALARS[kind])


def _string(stream: BinaryIO) -> str:
    # Vocabularies may hold byte strings that are no UTF-8 by themselves.
    return _read(stream, int(_scalar(stream, "Q"))).decode("utf-8", errors="replace")


def _scalar(stream: BinaryIO, code: str) -> int | float | bool:
    value: int | float | bool = _unpack(stream, f"<{code}")[0]
    return value


def _unpack(stream: BinaryIO, layout: str) -> tuple[int | float | bool, ...]:
    return struct.unpack(layout, _read(stream, struct.calcsize(layout)))


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise NotGgufError("the file ends in the middle of its metadata")
    return data
