"""Embedding vectors."""

import msgspec
import pytest

from proxy_service.errors import EngineProtocolError, InvalidRequest
from proxy_service.translate.embeddings import (
    MAX_INPUTS,
    read_inputs,
    read_reply,
    read_vector,
    shorten,
)


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


@pytest.mark.parametrize("number", ["0.1", "1e-3", "1.7976931348623157e308", "5e-324", "1E+2"])
def test_vectors_of_any_numbers_are_read(number: str) -> None:
    """Those with exponents are read in another way."""
    items, _ = read_reply(
        b'{"data":[{"index":3,"embedding":[%b,1]}]}' % number.encode(), expected=1
    )

    assert read_vector(items[0]) == (3, [float(number), 1.0])


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "null", '"1e5"', "1e"])
def test_what_is_no_vector_is_a_protocol_error(number: str) -> None:
    with pytest.raises(EngineProtocolError):
        read_vector(msgspec.Raw(b'{"index":0,"embedding":[1e5,1e5,%b]}' % number.encode()))
