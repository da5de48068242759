"""Embedding vectors."""

import pytest

from proxy_service.errors import EngineProtocolError
from proxy_service.translate.embeddings import shorten, vectors_of


@pytest.mark.parametrize(("dimensions", "length"), [(0, 4), (2, 2), (9, 4), (-1, 4)])
def test_vectors_are_cut_and_scaled(dimensions: int, length: int) -> None:
    vector = shorten([3.0, 4.0, 0.0, 0.0], dimensions)

    assert len(vector) == length
    assert sum(x * x for x in vector) == pytest.approx(1)


def test_a_vector_of_zeros_stays_unchanged() -> None:
    assert shorten([0.0, 0.0], 0) == [0.0, 0.0]


def test_a_missing_vector_is_a_protocol_error() -> None:
    with pytest.raises(EngineProtocolError):
        vectors_of({"data": [], "usage": {}}, expected=1)
