"""A Llama small enough to create and load within a test: random weights, byte-level tokens.

The real engine loads the folder like any safetensors model. The weights come from a fixed seed,
so the same prompt at temperature 0 always produces the same text. They are tilted so that the
model writes printable ASCII and never ends by itself: a reply is as long as `max_tokens` says,
or ends at a stop string that the test took from an earlier reply.

Usage by hand: ``python -m tests.tiny_llama FOLDER``.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

# Longest prompt plus reply, in tokens. One byte of text is one token.
CONTEXT_LENGTH = 8192

HIDDEN, INTERMEDIATE, LAYERS, HEADS = 64, 128, 2, 4
_BEGIN, _END, _TURN = "<s>", "</s>", "<turn>"
_SEED = 20240229
# The head's weight on the constant dimension: enough to decide between printable and not.
_TILT = 200.0

_CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<turn>' + message['role'] + ': ' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% elif message['content'] %}"
    "{% for part in message['content'] %}{{ part['text'] or '' }}{% endfor %}"
    "{% endif %}"
    "{{ '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<turn>assistant: ' }}{% endif %}"
)

# Like Qwen's; the engine recognises a model that thinks by both marks.
_THOUGHT = (
    "{% if add_generation_prompt %}"
    "{% if enable_thinking is not defined or enable_thinking %}"
    "{{ '<think>\n' }}"
    "{% else %}"
    "{{ '<think>\n\n</think>\n\n' }}"
    "{% endif %}"
    "{% endif %}"
)


def make_tiny_llama(folder: Path, *, thinks: bool = False) -> Path:
    """Write config, weights, tokenizer and chat template into `folder` and return it.

    If it `thinks`, its template opens a thought, and closes it at once when thinking is off.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    vocabulary = tokenizer.get_vocab()
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "config.json", _config(vocabulary))
    _write_json(folder / "generation_config.json", {"eos_token_id": vocabulary[_END]})
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(thinks=thinks))
    save_file(tiny_weights(vocabulary), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _tokenizer() -> Tokenizer:
    """Return a tokenizer of one token per byte and three special ones, so any text round-trips."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in (_BEGIN, _END, _TURN)])
    return tokenizer


def _config(vocabulary: dict[str, int]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": CONTEXT_LENGTH,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": len(vocabulary),
        "bos_token_id": vocabulary[_BEGIN],
        "eos_token_id": vocabulary[_END],
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }


def _tokenizer_config(*, thinks: bool) -> dict[str, Any]:
    return {
        "add_bos_token": False,
        "bos_token": _BEGIN,
        "eos_token": _END,
        "unk_token": None,
        "chat_template": _CHAT_TEMPLATE + (_THOUGHT if thinks else ""),
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def tiny_weights(vocabulary: dict[str, int]) -> dict[str, NDArray[np.float32]]:
    """Return all tensors by their names in Hugging Face's layout."""
    random = np.random.default_rng(_SEED)

    def normal(*shape: int) -> NDArray[np.float32]:
        return random.normal(0.0, 0.4, shape).astype(np.float32)

    weights = {
        "model.embed_tokens.weight": normal(len(vocabulary), HIDDEN),
        "model.norm.weight": np.ones(HIDDEN, np.float32),
        "lm_head.weight": normal(len(vocabulary), HIDDEN),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            weights[f"{prefix}self_attn.{name}.weight"] = normal(HIDDEN, HIDDEN)
        for name in ("gate_proj", "up_proj"):
            weights[f"{prefix}mlp.{name}.weight"] = normal(INTERMEDIATE, HIDDEN)
        weights[f"{prefix}mlp.down_proj.weight"] = normal(HIDDEN, INTERMEDIATE)
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{prefix}{name}.weight"] = np.ones(HIDDEN, np.float32)
    _tilt_to_printable(weights, vocabulary)
    return weights


def _tilt_to_printable(weights: dict[str, NDArray[np.float32]], vocabulary: dict[str, int]) -> None:
    """Reserve hidden dimension 0 as a constant that the head turns into a bonus.

    No layer writes to that dimension, so it keeps its value through the residual stream; the
    final norm scales it by at most sqrt(hidden size).
    """
    weights["model.embed_tokens.weight"][:, 0] = 8.0
    for name, weight in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[0, :] = 0.0
    head = weights["lm_head.weight"]
    head[:, 0] = -_TILT
    printable = [vocabulary[chr(code)] for code in range(ord("!"), ord("~") + 1)]
    head[printable, 0] = _TILT


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


if __name__ == "__main__":
    make_tiny_llama(Path(sys.argv[1]))
