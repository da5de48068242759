"""A model described in Ollama's words, from the header of a GGUF or safetensors file."""

import io
import json
import struct
from collections import Counter

import pytest

from embedded_engine.formats.details import (
    gguf_details,
    gguf_info,
    human_number,
    safetensors_details,
    safetensors_info,
)
from embedded_engine.formats.gguf import Header, Scalar, Tensor
from embedded_engine.formats.safetensors import NotSafetensorsError, count_elements

Q4_1, F32 = 3, 0
TENSORS = (Tensor(Q4_1, 134_000_000), Tensor(F32, 515_008))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1K"),
        (130_560, "131K"),
        (1_000_000, "1M"),
        (134_515_008, "134.52M"),
        (999_999_999, "1000.00M"),
        (1_000_000_000, "1B"),
        (8_030_261_312, "8.0B"),
        (70_553_706_496, "70.6B"),
    ],
)
def test_numbers_are_written_as_ollama_writes_them(count: int, expected: str) -> None:
    assert human_number(count) == expected


def test_a_gguf_file_is_described_by_its_metadata_and_tensors() -> None:
    metadata: dict[str, Scalar | list[Scalar]] = {
        "general.architecture": "llama",
        "general.file_type": 15,
    }
    assert gguf_details(Header(metadata, TENSORS)) == {
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "134.52M",
        "quantization_level": "Q4_K_M",
    }


@pytest.mark.parametrize(
    "file_type",
    [
        pytest.param({}, id="absent"),
        pytest.param({"general.file_type": 1024}, id="unknown"),
        pytest.param({"general.file_type": [1]}, id="not a number"),
    ],
)
def test_without_a_file_type_most_elements_decide(
    file_type: dict[str, Scalar | list[Scalar]],
) -> None:
    assert gguf_details(Header(file_type, TENSORS))["quantization_level"] == "Q4_1"


def test_what_a_gguf_file_does_not_say_is_left_out() -> None:
    assert gguf_details(Header({}, ())) == {"format": "gguf"}
    assert gguf_details(Header({"general.architecture": 7}, (Tensor(999, 12),))) == {
        "format": "gguf",
        "parameter_size": "12",
    }


def test_safetensors_are_described_by_their_type_and_elements() -> None:
    elements = Counter({"BF16": 8_000_000_000, "F32": 30_261_312})
    assert safetensors_details("qwen3", elements) == {
        "format": "safetensors",
        "family": "qwen3",
        "families": ["qwen3"],
        "parameter_size": "8.0B",
        "quantization_level": "BF16",
    }


def test_the_parameters_of_packed_safetensors_are_unknown() -> None:
    assert safetensors_details("", Counter({"U8": 12, "BF16": 3})) == {"format": "safetensors"}


def safetensors(header: object) -> io.BytesIO:
    data = json.dumps(header).encode()
    return io.BytesIO(struct.pack("<Q", len(data)) + data)


def test_elements_are_counted_by_data_type() -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
        "b": {"dtype": "BF16", "shape": [], "data_offsets": [12, 14]},
        "c": {"dtype": "F32", "shape": [4], "data_offsets": [14, 30]},
    }
    assert +count_elements(safetensors(header)) == {"BF16": 7, "F32": 4}


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(io.BytesIO(b""), id="empty"),
        pytest.param(io.BytesIO(b"nothing"), id="shorter than a length"),
        pytest.param(io.BytesIO(b"\xff" * 8), id="endless header"),
        pytest.param(io.BytesIO(struct.pack("<Q", 100) + b"{}"), id="cut short"),
        pytest.param(safetensors([]), id="not an object"),
        pytest.param(safetensors({"a": {"dtype": "F32", "shape": [-1]}}), id="negative shape"),
        pytest.param(safetensors({"a": {"dtype": "F32", "shape": [1] * 65}}), id="dimensions"),
        pytest.param(safetensors({"a": {"dtype": "F32", "shape": [2**64]}}), id="large number"),
        pytest.param(safetensors({"a": {"dtype": "F32", "shape": [2**40] * 2}}), id="large tensor"),
        pytest.param(io.BytesIO(struct.pack("<Q", 2) + b"{\xff"), id="not UTF-8"),
        pytest.param(io.BytesIO(struct.pack("<Q", 10**5) + b"[" * 10**5), id="nested"),
    ],
)
def test_what_is_not_safetensors_is_refused(stream: io.BytesIO) -> None:
    with pytest.raises(NotSafetensorsError):
        count_elements(stream)


def test_the_metadata_of_a_gguf_file_is_shown_without_its_lists() -> None:
    """Nor what Ollama leaves out of it."""
    metadata: dict[str, Scalar | list[Scalar]] = {
        "general.architecture": "llama",
        "general.name": "A model",
        "llama.rope.freq_base": 5e5,
        "tokenizer.chat_template": "x",
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.tokens": ["a", "b"],
    }

    assert gguf_info(Header(metadata, TENSORS)) == {
        "general.architecture": "llama",
        "llama.rope.freq_base": 5e5,
        "tokenizer.ggml.add_bos_token": False,
        "general.parameter_count": 134_515_008,
    }


def test_a_configuration_is_shown_by_ggufs_names() -> None:
    """Values of a wrong type, and all others, are left out."""
    config: dict[str, object] = {
        "model_type": "qwen3",
        "hidden_size": 1024,
        "max_position_embeddings": 40960,
        "num_attention_heads": "16",
        "num_key_value_heads": None,
        "tie_word_embeddings": True,
        "vocab_size": True,
    }

    assert safetensors_info(config, Counter({"BF16": 600_000_000})) == {
        "general.architecture": "qwen3",
        "qwen3.embedding_length": 1024,
        "qwen3.context_length": 40960,
        "general.parameter_count": 600_000_000,
    }
    assert "general.parameter_count" not in safetensors_info(config, Counter({"I32": 1000}))
    assert safetensors_info({"hidden_size": 1024}, Counter()) == {}
    assert safetensors_info({"model_type": ["qwen3"]}, Counter()) == {}
