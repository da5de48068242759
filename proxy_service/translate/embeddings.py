"""Translates embedding requests and replies."""

import math
from typing import cast

import msgspec

from proxy_service.errors import EngineProtocolError, InvalidRequest
from proxy_service.translate.replies import to_usage
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import EmbeddingItem, EmbeddingReply, Usage
from proxy_service.wire.reading import decode_strict
from proxy_service.wire.writing import to_json

# Inputs of one request. OpenAI allows 2,048.
MAX_INPUTS = 8192
# `msgspec` takes some microseconds for a number with a large exponent, unless `decode_strict` is
# used, which is slower otherwise. In vectors, exponents are rare.
_BYTES_PER_EXPONENT = 50
# The hook, as in `decode_strict`, is for the usage only.
_decode_reply = msgspec.json.Decoder(EmbeddingReply, float_hook=float).decode


def read_inputs(value: object) -> list[str]:
    """Read ``input`` of ``POST /api/embed``, a string or a list of strings.

    An empty string means no inputs.

    Raises:
        InvalidRequest: It is of another type, or there are more than `MAX_INPUTS`.
    """
    if value in (None, ""):
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and len(value) > MAX_INPUTS:
        raise InvalidRequest(
            f"input has more than {MAX_INPUTS} strings; split it into several requests"
        )
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return cast("list[str]", value)
    raise InvalidRequest("invalid input type")


def to_engine_embeddings(inputs: list[str], *, engine_id: str, truncate: bool) -> JsonObject:
    """Return a body for ``POST /v1/embeddings``.

    ``dimensions`` is left out because the engine refuses it; `shorten` applies it.
    """
    body: JsonObject = {"model": engine_id, "input": inputs, "encoding_format": "float"}
    return body | {"truncate_sequence": True} if truncate else body


def read_reply(body: bytes, *, expected: int) -> tuple[list[msgspec.Raw], Usage]:
    """Return the items of a reply, which `read_vector` reads, and its usage.

    Raises:
        EngineProtocolError: It has an unknown format, or vectors are missing.
    """
    try:
        reply = _decode_reply(body)
    except msgspec.MsgspecError as error:
        raise _unknown_format(body) from error
    if len(reply.data) != expected:
        raise EngineProtocolError(
            f"the engine returned {len(reply.data)} embeddings for {expected} inputs"
        )
    return reply.data, to_usage(reply.usage)


def read_vector(item: msgspec.Raw) -> tuple[int, list[float]]:
    """Return the index of an item's input, and its vector.

    Raises:
        EngineProtocolError: The item has an unknown format.
    """
    data = bytes(item)
    try:
        if data.count(b"e") + data.count(b"E") > len(data) // _BYTES_PER_EXPONENT:
            read = msgspec.convert(decode_strict(data), EmbeddingItem)
        else:
            read = msgspec.json.decode(data, type=EmbeddingItem)
    except ValueError as error:
        raise _unknown_format(item) from error
    return read.index, read.embedding


def _unknown_format(body: bytes) -> EngineProtocolError:
    """Return the error for what `msgspec` refuses. It refuses NaN and infinity, too."""
    if any(word in bytes(body) for word in (b"NaN", b"Infinity")):
        return EngineProtocolError("the engine returned an embedding with NaN or Inf values")
    return EngineProtocolError("the engine's embeddings have an unknown format")


def shorten(vector: list[float], dimensions: int) -> list[float]:
    """Cut a vector to ``dimensions`` numbers (0 keeps all) and scale it to length 1."""
    kept = vector[:dimensions] if dimensions > 0 else vector
    length = math.sqrt(math.fsum(x * x for x in kept))
    return [x / length for x in kept] if length else kept


def with_vectors(model: str, vectors: list[bytes], rest: JsonObject) -> bytes:
    """Return the response of ``POST /api/embed``, without another copy of its vectors.

    Args:
        model: The model's name as the client sent it.
        vectors: JSON arrays.
        rest: The fields after the vectors.
    """
    parts = [b"," if number % 2 else vectors[number // 2] for number in range(2 * len(vectors) - 1)]
    head, tail = to_json({"model": model})[:-1], to_json(rest)[1:]
    return b"".join([head, b',"embeddings":[', *parts, b"],", tail])
