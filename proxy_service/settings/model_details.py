"""What the settings can say about a model, and how ``MODEL_DETAILS`` is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """What the engine may not report about a model, for tags, show and ps.

    ``name`` is what clients call the model, instead of the engine's id.
    Sizes are in bytes, lengths in tokens. An empty string or tuple, or 0, means "unknown".
    """

    name: str = ""
    family: str = ""
    format: str = ""
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int = 0
    embedding_length: int = 0
    size: int = 0
    template: str = ""
    license: str = ""
    capabilities: tuple[str, ...] = ()


MODEL_DETAILS_ACCEPTS = "a JSON object that maps an engine id to an object with " + ", ".join(
    ModelDetails.__slots__
)


def read_model_details(text: str) -> dict[str, ModelDetails]:
    """Parse ``MODEL_DETAILS``, which the stack passes on, too.

    Raises:
        ValueError: It isn't what the variable accepts.
    """
    try:
        table = json.loads(text)
        return {str(name): _one_model(fields) for name, fields in table.items()}
    except (TypeError, AttributeError) as error:
        raise ValueError(text) from error


def _one_model(fields: Mapping[str, object]) -> ModelDetails:
    known = {**fields}
    if "capabilities" in known:
        known["capabilities"] = _texts(known["capabilities"])
    details = ModelDetails(**known)  # type: ignore[arg-type]  # checked on the next lines
    for name, default in ((f, getattr(ModelDetails(), f)) for f in known):
        value = getattr(details, name)
        if type(value) is not type(default) or (type(value) is int and value < 0):
            raise ValueError(name)
    return details


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(value)
    return tuple(value)
