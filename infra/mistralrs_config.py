"""How Mistral.rs is told what to serve: by arguments, or by its configuration file; pure functions.

Flags and keys are those of version 0.9.2 (``mistralrs serve --help``, ``mistralrs from-config``).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.settings.served_models import ServedModel

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class EngineOptions:
    """How Mistral.rs runs, whatever it serves; None leaves its own default.

    Attributes:
        max_seqs: How many requests it works on at once.
        prefix_cache_size: How many prompts' states it keeps; 0 for none.
        seed: Seed of its random numbers.
        context_length: Tokens for which the KV cache is allocated on a GPU, and layers are placed.
        kv_cache_mb: Size of the KV cache in MB, instead.
        kv_cache_fraction: Size of the KV cache as a fraction of the GPU's memory, instead.
        token_file: File with Hugging Face's token.
    """

    max_seqs: int | None = None
    prefix_cache_size: int | None = None
    seed: int | None = None
    context_length: int | None = None
    kv_cache_mb: int | None = None
    kv_cache_fraction: float | None = None
    token_file: str | None = None


def serve_arguments(port: int, model: ServedModel, options: EngineOptions) -> tuple[str, ...]:
    """Return the arguments with which ``mistralrs`` serves one model."""
    flags: dict[str, object] = {
        "-p": port,
        "-m": model.id,
        "--quant": model.quantization or None,
        "--max-seqs": options.max_seqs,
        "--prefix-cache-n": options.prefix_cache_size,
        "--seed": options.seed,
        "--max-seq-len": options.context_length,
        "--pa-context-len": _kv_context_length(options),
        "--pa-memory-mb": options.kv_cache_mb,
        "--pa-memory-fraction": options.kv_cache_fraction,
        "--chat-template": model.template_file or None,
        "--token-source": f"path:{options.token_file}" if options.token_file else None,
    }
    arguments = [
        text for flag, value in flags.items() if value is not None for text in (flag, value)
    ]
    for alias, source in model.adapter_sources.items():
        arguments += ["--lora", f"{alias}={source}"]
    return ("serve", *map(str, arguments))


def configuration(port: int, models: tuple[ServedModel, ...], options: EngineOptions) -> str:
    """Return the configuration file, in TOML, with which ``mistralrs`` serves several models."""
    token_source = f"path:{options.token_file}" if options.token_file else None
    tables: dict[str, dict[str, object]] = {
        "global": {"seed": options.seed, "token_source": token_source},
        "server": {"port": port},
        "runtime": {
            "max_seqs": options.max_seqs,
            "prefix_cache_n": options.prefix_cache_size,
        },
        "paged_attn": {
            "context_len": _kv_context_length(options),
            "memory_mb": options.kv_cache_mb,
            "memory_fraction": options.kv_cache_fraction,
        },
    }
    parts = ['command = "serve"', f"default_model_id = {_toml(models[0].id)}"]
    parts += [_table(f"[{name}]", values) for name, values in tables.items()]
    parts += [_table("[[models]]", _model_table(model, options)) for model in models]
    return "\n\n".join(parts) + "\n"


def _kv_context_length(options: EngineOptions) -> int | None:
    """The three sizes of the KV cache exclude each other."""
    other_size = options.kv_cache_mb is not None or options.kv_cache_fraction is not None
    return None if other_size else options.context_length


def _model_table(model: ServedModel, options: EngineOptions) -> dict[str, Any]:
    length = model.context_length or options.context_length
    adapters = [
        {"alias": alias, "source": source} for alias, source in model.adapter_sources.items()
    ]
    written = {
        "kind": "auto",
        "model_id": model.id,
        "chat_template": model.template_file or None,
        "quantization": {"quant": model.quantization} if model.quantization else None,
        "device": {"max_seq_len": length} if length else None,
        "adapter": {"lora": adapters} if adapters else None,
    }
    return _merged(written, model.options)


def _merged(written: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Add the given keys to the written ones, table by table; the given ones go first."""
    result = {**written, **given}
    for key in written.keys() & given.keys():
        if isinstance(written[key], dict) and isinstance(given[key], dict):
            result[key] = _merged(written[key], given[key])
    return result


def _table(head: str, values: Mapping[str, Any]) -> str:
    lines = [f"{_key(key)} = {_toml(value)}" for key, value in values.items() if value is not None]
    return "\n".join([head, *lines])


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _toml(name)


def _toml(value: object) -> str:
    """Write a value as TOML: JSON's texts, numbers and lists are the same there, objects aren't."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
