"""What Mistral.rs serves: the settings ``models`` and ``loraAdapters``, and the models' ids."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from infra.settings import grammar
from infra.settings.json_objects import json_object
from proxy_service.translate.models.names import fold_name, is_valid_name

# A download of about 1.5 GB that needs no token and runs on a laptop's CPU.
DEFAULT_MODEL = "Qwen/Qwen3-0.6B"

# Where folders and files of the host are mounted inside the engine's container. None of these is
# inside another one, because Docker can't mount anything inside a read-only mount.
LOCAL_MODELS = "/local-models"
_LOCAL_TEMPLATES = "/local-templates"
_LOCAL_ADAPTERS = "/local-adapters"

_MODELS_EXAMPLE = '{"qwen3": {"model": "Qwen/Qwen3-0.6B", "quantization": "4"}}'
_LORA_EXAMPLE = '{"code": "org/code-lora"}'
_ALIAS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_KEYS = ("model", "quantization", "contextLength", "chatTemplate", "loraAdapters", "options")
# Keys of a `[[models]]` table that the stack writes itself.
_WRITTEN = ("model_id", "chat_template")
_MAX_CONTEXT_LENGTH = 2**31 - 1
# What the engine calls the model that it serves if a request names none.
_RESERVED = "default"
_FOLDED = "case and :latest make no difference"
# TOML's integers have 64 bits.
_INTEGERS = range(-(2**63), 2**63)
# Far beyond the engine's tables, and far below what recursion allows.
_MAX_DEPTH = 16


@dataclass(frozen=True)
class ServedModel:
    """One model of several.

    Attributes:
        name: What clients call it.
        model: Hugging Face id, or absolute path of a folder on the Docker host.
        quantization: Value of ``--quant``; empty for none.
        context_length: Tokens, for clients that ask; 0 if unknown.
        chat_template: Absolute path of a file on the Docker host; empty for the model's own.
        lora_adapters: Sources of LoRA adapters, by the names that requests use.
        options: Further keys of its table in Mistral.rs' configuration file.
    """

    name: str
    model: str
    quantization: str = ""
    context_length: int = 0
    chat_template: str = ""
    lora_adapters: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The id by which Mistral.rs lists it."""
        return _inside(self.model, LOCAL_MODELS, self._place)

    @property
    def template_file(self) -> str:
        """Path of the chat template inside the container; empty if there is none."""
        return _inside(self.chat_template, _LOCAL_TEMPLATES, self._place)

    @property
    def adapter_sources(self) -> dict[str, str]:
        """Hugging Face id of each adapter, or its folder inside the container, by its name."""
        return {
            alias: _inside(source, _LOCAL_ADAPTERS, self._place, alias)
            for alias, source in self.lora_adapters.items()
        }

    @property
    def host_paths(self) -> dict[str, str]:
        """What is mounted from the Docker host: its path there, by the path inside."""
        inside = (self.id, self.template_file, *self.adapter_sources.values())
        named = (self.model, self.chat_template, *self.lora_adapters.values())
        return {path: host for path, host in zip(inside, named, strict=True) if host[:1] == "/"}

    @property
    def _place(self) -> str:
        """Folder of its own, since several paths can end alike; no name contains "+" or "="."""
        return self.name.replace("/", "+").replace(":", "=")


def read_models(text: str) -> tuple[ServedModel, ...]:
    """Read models from a JSON object that maps the name of each to its facts.

    Raises:
        ValueError: Something is wrong; the message names every fault.
    """
    given = json_object(text, _MODELS_EXAMPLE)
    faults = [f"{name}: {fault}" for name, facts in given.items() for fault in _faults(name, facts)]
    if not faults:
        faults += _doubles(given)
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(
        ServedModel(
            name,
            model=facts["model"],
            quantization=facts.get("quantization", ""),
            context_length=facts.get("contextLength", 0),
            chat_template=facts.get("chatTemplate", ""),
            lora_adapters=facts.get("loraAdapters", {}),
            options=facts.get("options", {}),
        )
        for name, facts in given.items()
    )


def read_lora_adapters(text: str) -> Mapping[str, str]:
    """Read LoRA adapters from a JSON object that maps the name of each to its source.

    Raises:
        ValueError: Something is wrong; the message names every fault.
    """
    given = json_object(text, _LORA_EXAMPLE)
    faults = list(_lora_faults(given))
    if faults:
        raise ValueError("; ".join(faults))
    return given


def model_fault(model: str) -> str | None:
    """Return what is wrong with a model's id or folder; None if nothing is."""
    if model.startswith("/"):
        if not grammar.is_mountable_folder(model):
            return f"{model!r} is not the absolute path of a folder below /, without '..'"
    elif model.startswith((".", "~")):
        return f"give the folder's absolute path instead of {model!r}"
    elif not grammar.is_hub_id(model):
        return (
            f"{model!r} is neither a Hugging Face id, such as {DEFAULT_MODEL}, nor a folder's "
            "absolute path"
        )
    return None


def file_fault(path: str) -> str | None:
    """Return what is wrong with the path of a file on the Docker host; None if nothing is."""
    if grammar.is_mountable_folder(path):
        return None
    return f"{path!r} is not the absolute path of a file on the Docker host, without '..'"


def quantization_fault(text: str) -> str | None:
    """Return what is wrong with a value of ``--quant``; None if nothing is."""
    if text.lower() in ("", *grammar.QUANTIZATIONS):
        return None
    return f"{text!r} is not one of {', '.join(grammar.QUANTIZATIONS)}"


def _inside(path: str, *places: str) -> str:
    """Return the path inside the container for one on the host; an id stays as it is."""
    if not path.startswith("/"):
        return path
    return str(PurePosixPath(*places, PurePosixPath(path).name))


def _doubles(given: Mapping[str, Any]) -> Iterator[str]:
    """Report what clients or the engine couldn't tell apart."""
    for model, count in Counter(_same(facts["model"]) for facts in given.values()).items():
        if count > 1:
            yield f"{model} is served under more than one name: give it others in modelAliases"
    # By what clients can call it, all that each model and adapter is known by.
    models = [{fold_name(name), fold_name(facts["model"])} for name, facts in given.items()]
    adapters = [{fold_name(a)} for facts in given.values() for a in facts.get("loraAdapters", {})]
    for name, count in Counter(chain.from_iterable(models + adapters)).items():
        if count > 1:
            yield f"{name} means more than one model or adapter: {_FOLDED}"


def _same(model: str) -> str:
    """Return a model's id or folder in the way in which it is compared."""
    return str(PurePosixPath(model)) if model.startswith("/") else model.lower()


def _faults(name: str, facts: object) -> Iterator[str]:
    if not is_valid_name(name) or name != name.strip() or fold_name(name) == _RESERVED:
        yield "not a name that Ollama's clients can use"
    if not isinstance(facts, dict):
        yield f"not an object such as in {_MODELS_EXAMPLE}"
        return
    for key in facts.keys() - set(_KEYS):
        yield f"there is no {key!r}; the keys are {', '.join(_KEYS)}"
    texts = {key: facts.get(key, "") for key in ("model", "quantization", "chatTemplate")}
    for key, value in texts.items():
        if not isinstance(value, str):
            yield f"{key}: {value!r} is not a text"
            texts[key] = ""
    yield from _named("model", model_fault(texts["model"]))
    yield from _named("quantization", quantization_fault(texts["quantization"]))
    if texts["chatTemplate"]:
        yield from _named("chatTemplate", file_fault(texts["chatTemplate"]))
    length = facts.get("contextLength", 0)
    if type(length) is not int or not 0 <= length <= _MAX_CONTEXT_LENGTH:
        yield f"contextLength: {length!r} is not a number of tokens"
    adapters = facts.get("loraAdapters", {})
    if isinstance(adapters, dict):
        yield from (f"loraAdapters: {fault}" for fault in _lora_faults(adapters))
    else:
        yield f"loraAdapters: {adapters!r} is not an object such as {_LORA_EXAMPLE}"
    yield from _option_faults(facts.get("options", {}))


def _named(key: str, fault: str | None) -> Iterator[str]:
    if fault is not None:
        yield f"{key}: {fault}"


def _lora_faults(given: Mapping[str, object]) -> Iterator[str]:
    for alias, count in Counter(map(fold_name, given)).items():
        if count > 1:
            yield f"{alias} is given more than once: {_FOLDED}"
    for alias, source in given.items():
        if alias.lower() == _RESERVED:
            yield f"{alias!r} is what the engine calls its default model"
        if not _ALIAS.fullmatch(alias):
            yield f"{alias!r} is not a name of letters, digits, '_', '.' and '-'"
        if not isinstance(source, str):
            yield f"{alias}: {source!r} is not a text"
        elif fault := model_fault(source):
            yield f"{alias}: {fault}"


def _option_faults(options: object) -> Iterator[str]:
    if not isinstance(options, dict):
        yield f"options: {options!r} is not an object"
        return
    for key in options.keys() & set(_WRITTEN):
        yield f"options: {key} has a key of its own beside options"
    if not _is_toml(options):
        yield (
            "options: the engine's configuration file has no null, no NaN, no integers beyond 64 "
            f"bits, and at most {_MAX_DEPTH} tables within each other"
        )


def _is_toml(value: object, depth: int = 0) -> bool:
    """Return whether a value can be written to the engine's configuration file."""
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, dict | list):
        items = value.values() if isinstance(value, dict) else value
        return all(_is_toml(item, depth + 1) for item in items)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is not None and (not isinstance(value, int) or value in _INTEGERS)
