"""The engine's own list of models, ``GET /v1/models``, read into `EngineModel`."""

from collections import Counter
from collections.abc import Mapping
from pathlib import PureWindowsPath

from proxy_service.errors import EngineProtocolError
from proxy_service.settings.model_details import ModelDetails
from proxy_service.translate.models.details import (
    merged,
    reported_details,
    reported_families,
    reported_info,
    reported_parameters,
    reported_vram,
)
from proxy_service.translate.models.model import DEFAULT_NAME, LOADED, EngineModel
from proxy_service.translate.models.names import fold_name
from proxy_service.translate.models.rendering import FOREVER_SECONDS
from proxy_service.wire.engine import ModelEntry, ModelList

# Far more than an engine serves. The list is read every few seconds.
MAX_MODELS = 1000


def from_model_list(
    body: ModelList, configured: Mapping[str, ModelDetails]
) -> tuple[EngineModel, ...]:
    """Read ``GET /v1/models``, without the entry for the default model.

    ``configured`` has the settings' details by folded name or id. They are merged with the
    engine's here, once for each list, so that no request has to do it.

    An engine that was started on a folder or a file uses its path as the id. Clients take the
    part before a slash for a namespace, so such a model is named after the last part of its
    path, unless two models would share that name. So is a LoRA adapter after its own name.

    Raises:
        EngineProtocolError: It lists too many models.
    """
    if len(body["data"]) > MAX_MODELS:
        raise EngineProtocolError(f"the engine lists more than {MAX_MODELS} models")
    entries = [entry for entry in body["data"] if entry["id"] != DEFAULT_NAME]
    names = Counter(fold_name(_short_name(entry)) for entry in entries)
    models = (
        _model(
            entry,
            name if names[fold_name(name := _short_name(entry))] == 1 else entry["id"],
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
        parent=parent if isinstance(parent := entry.get("parent"), str) else "",
        name=(given.name if given else "") or name,
        details=merged(given, reported) if given else reported,
        families=() if given and given.family else reported_families(entry),
        parameters=reported_parameters(entry),
        info=reported_info(entry),
        vram_bytes=reported_vram(entry),
    )


def _date(created: object) -> int:
    """Return Unix seconds; 0 if ``created`` isn't a date."""
    return created if type(created) is int and 0 <= created <= FOREVER_SECONDS else 0


def _short_name(entry: ModelEntry) -> str:
    adapter = entry.get("root")
    return adapter if entry.get("parent") and isinstance(adapter, str) else _last_part(entry["id"])


def _last_part(engine_id: str) -> str:
    """Return the last part of an absolute path, and any other id unchanged."""
    if not engine_id.startswith(("/", "\\")) and engine_id[1:2] != ":":
        return engine_id  # nearly always
    path = PureWindowsPath(engine_id)  # accepts slashes and backslashes
    return path.name if path.root and path.name else engine_id
