"""Translates embedding requests and replies."""

import math
from typing import cast

from proxy_service.errors import EngineProtocolError, InvalidRequest
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import EmbeddingReply


def read_inputs(value: object) -> list[str]:
    """Read ``input`` of ``POST /api/embed``, a string or a list of strings.

    An empty string means no inputs.

    Raises:
        InvalidRequest: It is of another type.
    """
    if value in (None, ""):
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return cast("list[str]", value)
    raise InvalidRequest("invalid input type")


def to_engine_embeddings(inputs: list[str], *, engine_id: str, truncate: bool) -> JsonObject:
    """Return a body for ``POST /v1/embeddings``.

    ``dimensions`` is left out because the engine refuses it; `shorten` applies it.
    """
    body: JsonObject = {"model": engine_id, "input": inputs, "encoding_format": "float"}
    return body | {"truncate_sequence": True} if truncate else body


def vectors_of(reply: EmbeddingReply, *, expected: int) -> list[list[float]]:
    """Return the vectors in the order of the inputs.

    Raises:
        EngineProtocolError: Vectors are missing, or contain NaN or infinity.
    """
    items = sorted(reply["data"], key=lambda item: item["index"])
    if len(items) != expected:
        raise EngineProtocolError(
            f"the engine returned {len(items)} embeddings for {expected} inputs"
        )
    vectors = [item["embedding"] for item in items]
    if not all(math.isfinite(number) for vector in vectors for number in vector):
        raise EngineProtocolError("the engine returned an embedding with NaN or Inf values")
    return vectors


def shorten(vector: list[float], dimensions: int) -> list[float]:
    """Cut a vector to ``dimensions`` numbers (0 keeps all) and scale it to length 1."""
    kept = vector[:dimensions] if dimensions > 0 else vector
    length = math.sqrt(math.fsum(x * x for x in kept))
    return [x / length for x in kept] if length else kept
