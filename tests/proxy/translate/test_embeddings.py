"""Embedding vectors."""

import pytest

from proxy_service.errors import EngineProtocolError, InvalidRequest
from proxy_service.translate.embeddings import MAX_INPUTS, read_inputs, read_reply, shorten


@pytest.mark.parametrize(("dimensions", "length"), [(0, 4), (2, 2), (9, 4), (-1, 4)])
def test_vectors_are_cut_and_scaled(dimensions: int, length: int) -> None:
    vector = shorten([3.0, 4.0, 0.0, 0.0], dimensions)

    assert len(vector) == length
    assert sum(x * x for x in vector) == pytest.approx(1)


def test_a_vector_of_zeros_stays_unchanged() -> None:
    assert shorten([0.0, 0.0], 0) == [0.0, 0.0]


def test_a_missing_vector_is_a_protocol_error() -> None:
    with pytest.raises(EngineProtocolError):
        read_reply(b'{"data":[],"usage":{}}', expected=1)


def test_too_many_inputs_are_refused() -> None:
    assert read_inputs(["x"] * MAX_INPUTS) == ["x"] * MAX_INPUTS
    with pytest.raises(InvalidRequest, match="split it into several requests"):
        read_inputs(["x"] * (MAX_INPUTS + 1))
