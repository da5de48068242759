"""Describe a model as Ollama does in `details` and `model_info`.

Pure. What a file doesn't say is left out.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeVar

from embedded_engine.formats.gguf import Header

# Ollama's `details`, as far as they are known.
Details = dict[str, Any]
# Ollama's `model_info`: GGUF's keys with their values.
Info = dict[str, Any]
_Type = TypeVar("_Type", int, str)

_ARCHITECTURE = "general.architecture"
_FILE_TYPE = "general.file_type"
_PARAMETER_COUNT = "general.parameter_count"
# Keys that Ollama leaves out of `model_info`; the template has a field of its own.
_SHOWN_ELSEWHERE = ("general.name", "tokenizer.chat_template")
# Keys of GGUF, without the architecture's name, and their names in a `config.json`.
_CONFIG_KEYS = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "vocab_size": "vocab_size",
}

# `llama_ftype` of llama.cpp: the mix of types that a file was quantized to. The names are Ollama's;
# types that Ollama doesn't know have the name that llama.cpp gives them.
_FILE_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    4: "MXFP4",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
}
# `ggml_type` of ggml: the type of one tensor.
_TENSOR_TYPES = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    29: "IQ1_M",
    30: "BF16",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
}
# Data types of safetensors that hold one parameter per element; others are packed.
_PLAIN_TYPES = ("F32", "F16", "BF16")


def gguf_details(header: Header) -> Details:
    """Describe a GGUF file."""
    elements: Counter[int] = Counter()
    for tensor in header.tensors:
        elements[tensor.type] += tensor.elements
    family, file_type = header.metadata.get(_ARCHITECTURE), header.metadata.get(_FILE_TYPE)
    level = _FILE_TYPES.get(file_type) if isinstance(file_type, int) else None
    return _details(
        "gguf",
        family if isinstance(family, str) else "",
        elements.total(),
        level or _TENSOR_TYPES.get(_most(elements, -1), ""),
    )


def gguf_info(header: Header) -> Info:
    """Return the metadata of a GGUF file, without lists such as the vocabulary."""
    scalars = {
        key: value
        for key, value in header.metadata.items()
        if not isinstance(value, list) and key not in _SHOWN_ELSEWHERE
    }
    return scalars | {_PARAMETER_COUNT: sum(tensor.elements for tensor in header.tensors)}


def safetensors_info(config: Mapping[str, object], elements: Counter[str]) -> Info:
    """Return what the `config.json` of a model in Hugging Face's layout says, by GGUF's names.

    Args:
        config: The file's content.
        elements: Number of elements by data type; empty if unknown.
    """
    family = config.get("model_type")
    if not isinstance(family, str) or not family:
        return {}
    info: Info = {_ARCHITECTURE: family}
    for ours, theirs in _CONFIG_KEYS.items():
        value = config.get(theirs)
        if type(value) is int:
            info[f"{family}.{ours}"] = value
    if elements and _most(elements, "") in _PLAIN_TYPES:
        info[_PARAMETER_COUNT] = elements.total()
    return info


def safetensors_details(model_type: str, elements: Counter[str]) -> Details:
    """Describe a model in Hugging Face's layout.

    Args:
        model_type: From its `config.json`.
        elements: Number of elements by data type; empty if unknown.
    """
    level = _most(elements, "")
    if level not in _PLAIN_TYPES:
        return _details("safetensors", model_type, 0, "")
    return _details("safetensors", model_type, elements.total(), level)


def human_number(count: int) -> str:
    """Write a number of parameters as Ollama's `format.HumanNumber` does: 134.52M."""
    for unit, letter, digits in ((10**9, "B", 1), (10**6, "M", 2), (10**3, "K", 0)):
        if count >= unit:
            return f"{count / unit:.{0 if count % unit == 0 else digits}f}{letter}"
    return str(count)


def _details(form: str, family: str, parameters: int, level: str) -> Details:
    known: Details = {"format": form}
    if family:
        known |= {"family": family, "families": [family]}
    if parameters:
        known["parameter_size"] = human_number(parameters)
    if level:
        known["quantization_level"] = level
    return known


def _most(elements: Counter[_Type], default: _Type) -> _Type:
    """Return the type that most elements have, `default` if there are none."""
    return max(elements, key=lambda kind: elements[kind], default=default)
