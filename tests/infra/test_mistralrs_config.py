"""How Mistral.rs is told what to serve, by arguments and by its configuration file."""

import tomllib
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from infra.mistralrs_config import EngineOptions, configuration, serve_arguments
from infra.settings.served_models import ServedModel, read_models

TINY = ServedModel("tiny", "org/tiny")
FOLDER = ServedModel("team/big:7b", "/srv/models/big", quantization="q4k", context_length=8192)


def test_one_model_without_options_has_only_its_name() -> None:
    assert serve_arguments(8080, TINY, EngineOptions()) == ("serve", "-p", "8080", "-m", "org/tiny")


def test_every_option_of_one_model_has_its_flag() -> None:
    """What isn't set is left to Mistral.rs; a seed of 0 and no prefix cache are set."""
    model = replace(
        ServedModel("", "/srv/models/big", quantization="4"),
        chat_template="/srv/chat.jinja",
        lora_adapters={"code": "org/code", "law": "/srv/lora/law"},
    )
    options = EngineOptions(
        max_seqs=4, prefix_cache_size=0, seed=0, context_length=9000, token_file="/run/t"
    )
    assert " ".join(serve_arguments(8080, model, options)) == (
        "serve -p 8080 -m /local-models/big --quant 4 --max-seqs 4 --prefix-cache-n 0 --seed 0"
        " --max-seq-len 9000 --pa-context-len 9000"
        " --chat-template /local-templates/chat.jinja --token-source path:/run/t"
        " --lora code=org/code --lora law=/local-adapters/law/law"
    )
    assert model.host_paths == {
        "/local-models/big": "/srv/models/big",
        "/local-templates/chat.jinja": "/srv/chat.jinja",
        "/local-adapters/law/law": "/srv/lora/law",
    }


@pytest.mark.parametrize(
    ("options", "flag", "key", "value"),
    [
        (EngineOptions(kv_cache_mb=512, context_length=9), "--pa-memory-mb", "memory_mb", 512),
        (EngineOptions(kv_cache_fraction=0.5), "--pa-memory-fraction", "memory_fraction", 0.5),
    ],
)
def test_another_size_of_the_kv_cache_goes_before_the_context_length(
    options: EngineOptions, flag: str, key: str, value: float
) -> None:
    """Mistral.rs refuses two of them."""
    arguments = serve_arguments(8080, TINY, options)
    assert arguments[arguments.index(flag) + 1] == str(value)
    assert "--pa-context-len" not in arguments
    assert tomllib.loads(configuration(8080, (TINY,), options))["paged_attn"] == {key: value}


def test_several_models_are_a_configuration_file() -> None:
    options = EngineOptions(max_seqs=1, prefix_cache_size=0, seed=7, token_file="/run/t")
    assert tomllib.loads(configuration(8080, (TINY, FOLDER), options)) == {
        "command": "serve",
        "default_model_id": "org/tiny",
        "global": {"seed": 7, "token_source": "path:/run/t"},
        "server": {"port": 8080},
        "runtime": {"max_seqs": 1, "prefix_cache_n": 0},
        "paged_attn": {},
        "models": [
            {"kind": "auto", "model_id": "org/tiny"},
            {
                "kind": "auto",
                "model_id": "/local-models/team+big=7b/big",
                "quantization": {"quant": "q4k"},
                "device": {"max_seq_len": 8192},
            },
        ],
    }


def test_options_of_a_model_are_added_to_its_table_as_they_are() -> None:
    """Each goes before what the stack would write; texts are written so that TOML reads them."""
    text = """{"m": {"model": "x", "contextLength": 5, "options": {
        "kind": "text", "dtype": "bf16", "a b": "\\u007f\\"\\\\\\n\\u00e4\\ud83d\\ude00",
        "n": [1, 2.5, true, {"k": []}],
        "device": {"device_layers": ["0:10"], "max_seq_len": 6}}}}"""
    (table,) = tomllib.loads(configuration(1, read_models(text), EngineOptions()))["models"]
    assert table == {
        "kind": "text",
        "model_id": "x",
        "dtype": "bf16",
        "a b": '\x7f"\\\n\N{LATIN SMALL LETTER A WITH DIAERESIS}\N{GRINNING FACE}',
        "n": [1, 2.5, True, {"k": []}],
        "device": {"device_layers": ["0:10"], "max_seq_len": 6},
    }


def test_the_folders_of_models_and_adapters_are_apart() -> None:
    """Docker can mount nothing inside a mounted folder, whatever that is called."""
    models = read_models(
        """{
        "a/b": {"model": "/srv/1/m", "loraAdapters": {"x": "/srv/1/l"}},
        "a_b": {"model": "/srv/2/m", "loraAdapters": {"y": "/srv/2/l"}},
        "a": {"model": "/srv/b"},
        "c": {"model": "/srv/lora", "loraAdapters": {"z": "/srv/3/l"}},
        "d": {"model": "/srv/chat-template", "chatTemplate": "/srv/t.jinja"}
        }"""
    )
    inside = [PurePosixPath(path) for model in models for path in model.host_paths]
    assert len(inside) == 9
    for path in inside:
        assert [other for other in inside if other.is_relative_to(path)] == [path]
