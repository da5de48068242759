"""Read the header of a GGUF file: its metadata and the types and shapes of its tensors.

Pure over a binary stream. Knows only the container format, nothing about models or engines, and
stops before the tensors' data. Source: the GGUF specification of ggml, versions 2 and 3.
"""

import io
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
# Value type to `struct` code; everything is little-endian.
_UINT32, _UINT64 = struct.Struct("<I"), struct.Struct("<Q")
_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}
# GGML_MAX_DIMS of ggml.
_MOST_DIMENSIONS = 4
# Far above those of real files, whose headers hold vocabularies of up to a few hundred thousand
# tokens. A damaged length must not use up the memory.
_LONGEST_HEADER_BYTES = 64_000_000
_LONGEST_ARRAY = 2_000_000
_MOST_TENSORS = 100_000

Scalar = str | int | float | bool
Metadata = Mapping[str, Scalar | list[Scalar]]


class NotGgufError(ValueError):
    """The bytes are not a GGUF file of a known version, or they are damaged."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """What the header says about one tensor."""

    # Number of its `ggml_type`.
    type: int
    elements: int


@dataclass(frozen=True, slots=True)
class Header:
    """Everything before the data."""

    metadata: Metadata
    tensors: tuple[Tensor, ...]


def read_header(stream: BinaryIO) -> Header:
    """Read the header of the GGUF file in `stream`, from its start.

    Raises:
        NotGgufError: Wrong magic, unknown version or value type, a length that can't be right,
            or the file ends early.
    """
    reader = _Reader(stream)
    if reader.read(min(len(_MAGIC), reader.left)) != _MAGIC:
        raise NotGgufError("it doesn't begin with the letters GGUF")
    version = reader.integer(_UINT32)
    if version not in _VERSIONS:
        raise NotGgufError(f"GGUF version {version} is not one of {_VERSIONS}")
    tensors, pairs = reader.integer(_UINT64), reader.integer(_UINT64)
    if tensors > _MOST_TENSORS:
        raise NotGgufError(f"it has {tensors} tensors")
    metadata = {reader.string(): _typed_value(reader) for _ in range(pairs)}
    return Header(metadata, tuple(_tensor(reader) for _ in range(tensors)))


class _Reader:
    """Reads values one after the other, and never past the end of the file."""

    def __init__(self, stream: BinaryIO) -> None:
        self.left = min(stream.seek(0, io.SEEK_END), _LONGEST_HEADER_BYTES)
        stream.seek(0)
        self._stream = stream

    def read(self, size: int) -> bytes:
        data = self._stream.read(size) if size <= self.left else b""
        if len(data) < size:
            raise NotGgufError("it ends in the middle of its header, or a length is damaged")
        self.left -= size
        return data

    def string(self) -> str:
        # Vocabularies may hold byte strings that aren't UTF-8 by themselves.
        return self.read(self.integer(_UINT64)).decode("utf-8", errors="replace")

    def integer(self, form: struct.Struct) -> int:
        return int(form.unpack(self.read(form.size))[0])

    def scalars(self, code: str, count: int) -> tuple[int | float | bool, ...]:
        data = self.read(count * struct.calcsize(f"<{code}"))
        return struct.unpack(f"<{count}{code}", data)


def _typed_value(reader: _Reader) -> Scalar | list[Scalar]:
    kind = reader.integer(_UINT32)
    if kind != _ARRAY:
        return _values(reader, kind, 1)[0]
    item_kind, length = reader.integer(_UINT32), reader.integer(_UINT64)
    if length > _LONGEST_ARRAY:
        raise NotGgufError(f"it has an array of {length} values")
    return _values(reader, item_kind, length)


def _values(reader: _Reader, kind: int, count: int) -> list[Scalar]:
    if kind == _STRING:
        return [reader.string() for _ in range(count)]
    if kind not in _SCALARS:
        raise NotGgufError(f"value type {kind} is unknown")
    return list(reader.scalars(_SCALARS[kind], count))


def _tensor(reader: _Reader) -> Tensor:
    reader.string()  # its name
    dimensions = reader.integer(_UINT32)
    if dimensions > _MOST_DIMENSIONS:
        raise NotGgufError(f"it has a tensor of {dimensions} dimensions")
    shape = [reader.integer(_UINT64) for _ in range(dimensions)]
    kind = reader.integer(_UINT32)
    reader.integer(_UINT64)  # where its data begins
    return Tensor(kind, math.prod(shape))
