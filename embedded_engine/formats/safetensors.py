"""Read the header of a safetensors file: how many elements it has of each data type.

Pure over a binary stream. Source: the format's description in huggingface/safetensors.
"""

import math
import struct
from collections import Counter
from typing import Annotated, BinaryIO

import msgspec

# The format's own limit.
_LONGEST_HEADER_BYTES = 100_000_000
# More than any tensor has; the product of a damaged header's numbers would take hours.
_MOST_DIMENSIONS = 64
_MOST_ELEMENTS = 2**63 - 1


class NotSafetensorsError(ValueError):
    """The bytes are not a safetensors file, or they are damaged."""


class _Tensor(msgspec.Struct, frozen=True):
    """An entry of the header; that of the file's metadata has neither field."""

    dtype: str = ""
    shape: Annotated[
        tuple[Annotated[int, msgspec.Meta(ge=0, le=_MOST_ELEMENTS)], ...],
        msgspec.Meta(max_length=_MOST_DIMENSIONS),
    ] = (0,)


def count_elements(stream: BinaryIO) -> Counter[str]:
    """Count the tensors' elements by data type, for instance `{"BF16": 134515008}`.

    Raises:
        NotSafetensorsError: The header can't be read.
    """
    try:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = stream.read(min(length, _LONGEST_HEADER_BYTES))
        if len(header) < length:
            raise NotSafetensorsError("it ends early, or its length is damaged")
        tensors = msgspec.json.decode(header, type=dict[str, _Tensor])
    except (struct.error, ValueError, RecursionError) as error:
        raise NotSafetensorsError(f"its header can't be read: {error}") from error
    elements: Counter[str] = Counter()
    for tensor in tensors.values():
        elements[tensor.dtype] += math.prod(tensor.shape)
    if elements.total() > _MOST_ELEMENTS:
        raise NotSafetensorsError("it has more elements than fit on any disk")
    return elements
