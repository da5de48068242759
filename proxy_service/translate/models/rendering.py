"""Models as Ollama's API shows them: tags, ps and show."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from proxy_service.clock import NS_PER_SECOND, timestamp
from proxy_service.translate.models.capabilities import DEFAULT_CAPABILITIES
from proxy_service.translate.models.digests import digest
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.models.names import with_tag
from proxy_service.wire import JsonObject

# Ollama writes "never" as a date three centuries ahead; a later date isn't one.
FOREVER_SECONDS = int(datetime(2318, 1, 1, tzinfo=UTC).timestamp())
# Shown if neither the settings nor the engine name one; nearly all of Ollama's models have it.
_USUAL_FORMAT = "gguf"


def to_tag(model: EngineModel) -> JsonObject:
    """Return one element of ``GET /api/tags``."""
    name, details = with_tag(model.name), model.details
    return {
        "name": name,
        "model": name,
        "modified_at": timestamp(model.created * NS_PER_SECOND),
        "size": details.size,
        "digest": digest(model.id),
        "details": _details_part(model),
        "capabilities": list(details.capabilities or DEFAULT_CAPABILITIES),
    }


def to_process(model: EngineModel, *, now_ns: int, expires_in_seconds: float) -> JsonObject:
    """Return one element of ``GET /api/ps``; ``now_ns`` is in Unix nanoseconds."""
    name, details = with_tag(model.name), model.details
    left_ns = FOREVER_SECONDS * NS_PER_SECOND - now_ns
    expires_ns = now_ns + int(min(expires_in_seconds * NS_PER_SECOND, left_ns))
    return {
        "name": name,
        "model": name,
        "size": details.size,
        "digest": digest(model.id),
        "details": _details_part(model),
        "expires_at": timestamp(expires_ns),
        "size_vram": details.size if model.vram_bytes is None else model.vram_bytes,
        "context_length": details.context_length,
    }


def to_show(model: EngineModel, *, system: str, options: JsonObject) -> JsonObject:
    """Return the body of ``POST /api/show``.

    An unknown length is left out: clients (LlamaIndex, LiteLLM, VS Code) would take a 0
    literally, but use their own default if the key is missing. So is everything that neither the
    settings nor the engine say, such as ``tensors`` and ``projector_info``.

    Args:
        model: The model.
        system: The request's own system prompt, which is shown instead of a model's.
        options: The request's own options, which only the Modelfile shows.
    """
    details = model.details
    architecture = details.family or "unknown"
    info: JsonObject = {"general.architecture": architecture, "general.basename": model.name}
    parameters = model.parameters
    if details.context_length:
        info[f"{architecture}.context_length"] = details.context_length
        # Continue reads the length here; the engine's context is as fixed as a Modelfile's.
        parameters = {"num_ctx": details.context_length} | parameters
    if details.embedding_length:
        info[f"{architecture}.embedding_length"] = details.embedding_length
    shown: JsonObject = {
        "license": details.license,
        "modelfile": _modelfile(model, system, parameters | options),
        "parameters": "\n".join(
            f"{name:<30} {json.dumps(value, ensure_ascii=False)}"
            for name, value in _single_values(parameters)
        ),
        "template": details.template,
        "details": _details_part(model),
        # First what is certain: LlamaIndex takes the first length that it finds.
        "model_info": info | model.info | info,
        "capabilities": list(details.capabilities or DEFAULT_CAPABILITIES),
        "modified_at": timestamp(model.created * NS_PER_SECOND),
    }
    return shown | {"system": system} if system else shown


def _modelfile(model: EngineModel, system: str, parameters: JsonObject) -> str:
    """Return what a Modelfile would say of the model."""
    lines = ["# served by Mistral.rs", f"FROM {model.id}"]
    if model.details.template:
        lines.append(f"TEMPLATE {_quoted(model.details.template)}")
    if system:
        lines.append(f"SYSTEM {_quoted(system)}")
    for name, value in _single_values(parameters):
        text = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"PARAMETER {name} {_quoted(text)}")
    if model.details.license:
        lines.append(f"LICENSE {_quoted(model.details.license)}")
    return "\n".join([*lines, ""])


def _single_values(parameters: JsonObject) -> Iterator[tuple[str, object]]:
    """Yield each option with its value, those of a list one after the other."""
    for name, value in parameters.items():
        for item in value if isinstance(value, list) else [value]:
            # Numbers as Go writes them: 1, not 1.0.
            yield name, int(item) if isinstance(item, float) and item.is_integer() else item


def _quoted(text: str) -> str:
    """Return a value as a Modelfile has it; what isn't on one line is in quotes."""
    if "\n" not in text and text == text.strip(" "):
        return text
    return f'"""{text}"""' if '"' in text else f'"{text}"'


def _details_part(model: EngineModel) -> JsonObject:
    """Return the ``details`` object of tags, ps and show."""
    details = model.details
    families = model.families or ((details.family,) if details.family else ())
    part: JsonObject = {
        "parent_model": "",
        "format": details.format or _USUAL_FORMAT,
        "family": details.family,
        "families": list(families),
        "parameter_size": details.parameter_size,
        "quantization_level": details.quantization_level,
    }
    if details.context_length:
        part["context_length"] = details.context_length
    if details.embedding_length:
        part["embedding_length"] = details.embedding_length
    return part
