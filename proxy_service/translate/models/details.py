"""A model's details: what the engine reports, and what the settings say instead."""

from dataclasses import fields, replace
from typing import cast

from proxy_service.settings.model_details import ModelDetails
from proxy_service.translate.options import usable_options
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import ModelEntry
from proxy_service.wire.reading import MAX_INT64


def reported_details(entry: ModelEntry) -> ModelDetails:
    """Read the details in one entry of the engine's list; values of a wrong type are ignored.

    Mistral.rs reports none. The embedded engine sends Ollama's ``details``, ``size`` and
    ``template`` and, as vLLM does, the context length as ``max_model_len``.
    """
    details = _object(entry.get("details"))
    return ModelDetails(
        family=_text(details.get("family")),
        format=_text(details.get("format")),
        parameter_size=_text(details.get("parameter_size")),
        quantization_level=_text(details.get("quantization_level")),
        context_length=_number(entry.get("max_model_len")),
        size=_number(entry.get("size")),
        template=_text(entry.get("template")),
    )


def reported_families(entry: ModelEntry) -> tuple[str, ...]:
    """Read the families in one entry of the engine's list, empty if it has no list of strings."""
    families = _object(entry.get("details")).get("families")
    if isinstance(families, list) and all(isinstance(family, str) for family in families):
        return tuple(families)
    return ()


def reported_parameters(entry: ModelEntry) -> JsonObject:
    """Read the model's own values of options, as a Modelfile has them; unusable ones are ignored.

    The embedded engine sends them for its default model.
    """
    return usable_options(_object(entry.get("parameters")))


def reported_info(entry: ModelEntry) -> JsonObject:
    """Read what a model's file says about it, as in the ``model_info`` of Ollama's API."""
    return _object(entry.get("model_info"))


def reported_vram(entry: ModelEntry) -> int | None:
    """Read how many bytes the model takes of a GPU's memory; None if the engine doesn't say."""
    return None if entry.get("size_vram") is None else _number(entry.get("size_vram"))


def merged(configured: ModelDetails, reported: ModelDetails) -> ModelDetails:
    """Return what the settings say, and what the engine reports where they say nothing."""
    given = {f.name: value for f in fields(configured) if (value := getattr(configured, f.name))}
    return replace(reported, **given)


def _object(value: object) -> JsonObject:
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if type(value) is int and 0 <= value <= MAX_INT64 else 0
