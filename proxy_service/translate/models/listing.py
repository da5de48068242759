"""The engine's own list of models, ``GET /v1/models``, read into `EngineModel`."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PureWindowsPath

from proxy_service.settings import ModelDetails
from proxy_service.translate.models.details import (
    merged,
    reported_details,
    reported_families,
    reported_parameters,
    reported_vram,
)
from proxy_service.translate.models.names import fold_name
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import ModelEntry, ModelList

# The engine's name for its default model. The proxy never sends it, because another model
# becomes the default when that one is unloaded.
DEFAULT_NAME = "default"
LOADED, UNLOADED, RELOADING = "loaded", "unloaded", "reloading"

# Ollama writes "never" as a date three centuries ahead; a later date isn't one.
FOREVER_SECONDS = int(datetime(2318, 1, 1, tzinfo=UTC).timestamp())
_UNKNOWN = ModelDetails()


@dataclass(frozen=True, slots=True)
class EngineModel:
    """One model that the engine lists.

    Attributes:
        id: The engine's own name for it, which requests to the engine carry.
        created: Unix seconds.
        status: ``loaded``, ``unloaded`` or ``reloading``.
        name: The name that clients and metrics use; the id unless another is given.
        details: What the settings say about it, and else what the engine reports.
        families: The engine's list of families; empty if there is none, or if the settings
            name a family.
        parameters: The model's own values of Ollama's options.
        vram_bytes: How much memory of a GPU it takes; None if the engine doesn't say.
    """

    id: str
    created: int = 0
    status: str = LOADED
    name: str = ""
    details: ModelDetails = _UNKNOWN
    families: tuple[str, ...] = ()
    parameters: JsonObject = field(default_factory=dict)
    vram_bytes: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.id)


def from_model_list(
    body: ModelList, configured: Mapping[str, ModelDetails]
) -> tuple[EngineModel, ...]:
    """Read ``GET /v1/models``, without the entry for the default model.

    ``configured`` has the settings' details by folded name or id. They are merged with the
    engine's here, once for each list, so that no request has to do it.

    An engine that was started on a folder or a file uses its path as the id. Clients take the
    part before a slash for a namespace, so such a model is named after the last part of its
    path, unless two models would share that name.
    """
    entries = [entry for entry in body["data"] if entry["id"] != DEFAULT_NAME]
    names = Counter(fold_name(_last_part(entry["id"])) for entry in entries)
    models = (
        _model(
            entry,
            name if names[fold_name(name := _last_part(entry["id"]))] == 1 else entry["id"],
            configured,
        )
        for entry in entries
    )
    return tuple(sorted(models, key=lambda model: model.name.lower()))


def _model(entry: ModelEntry, name: str, configured: Mapping[str, ModelDetails]) -> EngineModel:
    engine_id = entry["id"]
    given = configured.get(fold_name(name)) or configured.get(fold_name(engine_id))
    reported = reported_details(entry)
    return EngineModel(
        engine_id,
        created=_date(entry.get("created")),
        status=entry.get("status") or LOADED,
        name=name,
        details=merged(given, reported) if given else reported,
        families=() if given and given.family else reported_families(entry),
        parameters=reported_parameters(entry),
        vram_bytes=reported_vram(entry),
    )


def _date(created: object) -> int:
    """Return Unix seconds; 0 if ``created`` isn't a date."""
    return created if type(created) is int and 0 <= created <= FOREVER_SECONDS else 0


def _last_part(engine_id: str) -> str:
    """Return the last part of an absolute path, and any other id unchanged."""
    path = PureWindowsPath(engine_id)  # accepts slashes and backslashes
    return path.name if path.root and path.name else engine_id
