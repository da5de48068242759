"""The tiny Llama as a GGUF file, with a SentencePiece vocabulary like those of Gemma and Llama 2.

The engine misreads such a vocabulary, so this file tests the tokenizer that the embedded engine
derives from it. As in real files, the last layer is quantized: on a CPU, the engine then fails
prompts that it reads in one batch. The same weights can be those of a Qwen 3.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from tests.tiny_llama import CONTEXT_LENGTH, HEADS, HIDDEN, INTERMEDIATE, LAYERS, tiny_weights

# Value types and token types of GGUF.
_UINT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 6, 7, 8, 9
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
_ALIGNMENT = 32
# Tensor types of ggml. A block of Q8_0 is a 16-bit scale and 32 signed bytes.
_F32, _Q8_0 = 0, 8
_BLOCK = 32
_HEAD = "output.weight"

Architecture = Literal["llama", "qwen3"]

Scalar = str | bool | int | float
Value = Scalar | list[Scalar]

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'stranger' %}{{ raise_exception('Who is ' + 'that?') }}{% endif %}"
    "[{{ message['role'] }}]{{ message['content'] }}"
    "{% endfor %}[me]"
)
# Merged pieces, best first: "hello" is one token only if they are merged in this order.
PIECES = ("lo", "he", "hel", "hello", "el", "\u2581hello")

_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.layers": "blk",
}


def make_tiny_gguf(
    path: Path, architecture: Architecture = "llama", *, template: bool = True
) -> Path:
    """Write the model to `path` and return it."""
    tokenizer = sentencepiece_metadata()
    tokens = tokenizer["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    vocabulary = {str(token): index for index, token in enumerate(tokens)}
    sizes: dict[str, Value] = {
        "context_length": CONTEXT_LENGTH,
        "embedding_length": HIDDEN,
        "block_count": LAYERS,
        "feed_forward_length": INTERMEDIATE,
        "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS,
        "attention.key_length": HIDDEN // HEADS,
        "attention.value_length": HIDDEN // HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": HIDDEN // HEADS,
        "rope.freq_base": 10000.0,
    }
    metadata: dict[str, Value] = {
        "general.architecture": architecture,
        **{f"{architecture}.{name}": size for name, size in sizes.items()},
        **({"tokenizer.chat_template": CHAT_TEMPLATE} if template else {}),
    }
    tensors = {_gguf_name(name): value for name, value in tiny_weights(vocabulary).items()}
    if architecture == "qwen3":
        norm = np.ones(HIDDEN // HEADS, np.float32)
        tensors |= {f"blk.{n}.attn_{x}_norm.weight": norm for n in range(LAYERS) for x in "qk"}
    with path.open("wb") as file:
        write_gguf(file, metadata | tokenizer, tensors)
    return path


def sentencepiece_metadata(*, add_space_prefix: bool = False) -> dict[str, Value]:
    """Return a vocabulary of special tokens, all bytes, printable ASCII and a few merged pieces."""
    special = {"<unk>": UNKNOWN, "<s>": CONTROL, "</s>": CONTROL}
    fallback = {f"<0x{byte:02X}>": BYTE for byte in range(256)}
    letters = {chr(code): NORMAL for code in range(ord("!"), ord("~") + 1)} | {"\u2581": NORMAL}
    types = special | fallback | letters | dict.fromkeys(PIECES, NORMAL)
    # Merged pieces score highest, the first one best.
    scores: list[Scalar] = [-1000.0] * (len(types) - len(PIECES))
    scores += [-float(rank) for rank in range(len(PIECES))]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": list(types),
        "tokenizer.ggml.token_type": list(types.values()),
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_space_prefix": add_space_prefix,
    }


def write_gguf(
    file: BinaryIO,
    metadata: Mapping[str, Value],
    tensors: Mapping[str, NDArray[np.float32]] | None = None,
) -> None:
    """Write a GGUF file, version 3; the head is quantized, other tensors are 32-bit floats."""
    tensors = tensors or {}
    file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    file.writelines(_string(key) + _typed(value) for key, value in metadata.items())
    offset = 0
    contents = []
    for name, tensor in tensors.items():
        kind, content = (_Q8_0, _quantized(tensor)) if name == _HEAD else (_F32, tensor.tobytes())
        # The innermost dimension comes first.
        shape = tensor.shape[::-1]
        file.write(_string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
        file.write(struct.pack("<IQ", kind, offset))
        contents.append(content.ljust(_padded(len(content)), b"\0"))
        offset += len(contents[-1])
    file.write(bytes(_padded(file.tell()) - file.tell()))
    file.writelines(contents)


def _quantized(tensor: NDArray[np.float32]) -> bytes:
    """Quantize to Q8_0; no block may be all zeros."""
    blocks = tensor.reshape(-1, _BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / 127
    values = np.rint(blocks / scales).astype(np.int8)
    parts = zip(scales.astype(np.float16), values, strict=True)
    return b"".join(scale.tobytes() + block.tobytes() for scale, block in parts)


def _gguf_name(name: str) -> str:
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name


def _typed(value: Value) -> bytes:
    if isinstance(value, list):
        kind = _kind(value[0])
        items = b"".join(_scalar(item) for item in value)
        return struct.pack("<IIQ", _ARRAY, kind, len(value)) + items
    return struct.pack("<I", _kind(value)) + _scalar(value)


def _kind(value: Scalar) -> int:
    kinds = {str: _STRING, bool: _BOOL, int: _UINT32, float: _FLOAT32}
    return kinds[type(value)]


def _scalar(value: Scalar) -> bytes:
    if isinstance(value, str):
        return _string(value)
    return struct.pack({bool: "<?", int: "<I", float: "<f"}[type(value)], value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
