"""Model names, and what Ollama tells about models that the engine lists."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PureWindowsPath

from proxy_service.errors import UnsupportedFeature
from proxy_service.settings import ModelDetails
from proxy_service.wire import JsonObject
from proxy_service.wire.ollama import Common, timestamp
from proxy_service.wire.openai import ModelList

LATEST = ":latest"
# What Ollama adds to a name that has less, and so says nothing: its registry and its own space.
_DEFAULT_PARTS = ("https://", "http://", "registry.ollama.ai/", "library/")
# Of its model references (`internal/modelref`): a mark of models that are no cloud's.
_LOCAL = ":local"
# Ollama's `types/model`: host, namespace, model and tag, each with its own letters and length.
_NAME = re.compile(
    r"(?:(?:(?:[a-z]+://)?\w[\w.:-]{0,349}/)?\w[\w-]{0,79}/)?\w[\w.-]{0,79}(?::\w[\w.-]{0,79})?",
    re.ASCII,
)
# The engine's name for whichever model it takes for the default; never sent to it, because
# it moves to another model when that one is unloaded.
DEFAULT_NAME = "default"
LOADED, UNLOADED, RELOADING = "loaded", "unloaded", "reloading"

# What a model can do unless the settings tell: chat models of today know tools.
_CAPABILITIES = ("completion", "tools")
# Ollama writes "never" as a date three centuries on.
FOREVER = datetime(2318, 1, 1, tzinfo=UTC)
_LAST_SECOND = int(FOREVER.timestamp())


@dataclass(frozen=True, slots=True)
class EngineModel:
    """One model that the engine lists.

    Attributes:
        id: The engine's own name for it, which requests to the engine carry.
        created: Unix seconds.
        status: ``loaded``, ``unloaded`` or ``reloading``.
        name: What clients and metrics call it; the id where nothing else is given.
        context_length: Tokens; 0 where the engine does not tell.
    """

    id: str
    created: int = 0
    status: str = LOADED
    name: str = ""
    context_length: int = 0

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.id)


def from_model_list(body: ModelList) -> tuple[EngineModel, ...]:
    """Read ``GET /v1/models``, leaving out the engine's name for "whichever is the default".

    Mistral.rs tells no context length; engines that do follow vLLM (``max_model_len``).

    An engine that was started on a folder or a file has its path for an id. Clients take what
    stands before a slash for a namespace, so such a model goes by the last part of its path,
    unless another one does already.
    """
    entries = [entry for entry in body["data"] if entry["id"] != DEFAULT_NAME]
    names = Counter(fold_name(_last_part(entry["id"])) for entry in entries)
    models = (
        EngineModel(
            entry["id"],
            _date(entry.get("created")),
            entry.get("status") or LOADED,
            name if names[fold_name(name := _last_part(entry["id"]))] == 1 else entry["id"],
            int(entry.get("max_model_len") or 0),
        )
        for entry in entries
    )
    return tuple(sorted(models, key=lambda model: model.name.lower()))


def _date(created: object) -> int:
    """Give Unix seconds; 0 for what is no date."""
    return created if type(created) is int and 0 <= created <= _LAST_SECOND else 0


def _last_part(engine_id: str) -> str:
    """Give the last part of an absolute path, and any other id as it is."""
    path = PureWindowsPath(engine_id)  # takes slashes of both kinds
    return path.name if path.root and path.name else engine_id


def fold_name(name: str) -> str:
    """Reduce a name to what Ollama compares: case, defaults and a ``:latest`` tag do not matter."""
    name = name.strip().lower()
    for part in _DEFAULT_PARTS:
        name = name.removeprefix(part)
    return name.removesuffix(_LOCAL).removesuffix(LATEST)


def is_valid_name(name: str) -> bool:
    """Tell whether Ollama would take ``name`` for the name of a model."""
    return _NAME.fullmatch(name.strip()) is not None


def with_tag(name: str) -> str:
    """Write a name as Ollama lists it: always with a tag."""
    return name if ":" in name.rsplit("/", 1)[-1] else name + LATEST


class NameTable:
    """Finds the engine's model for the names that clients use."""

    def __init__(self, models: tuple[EngineModel, ...], aliases: Mapping[str, str]) -> None:
        self.models = models
        self._aliases = aliases
        self._by_name = {fold_name(model.id): model for model in models}
        for model in models:
            self._by_name.setdefault(fold_name(model.name), model)
        if len(models) == 1:
            self._by_name.setdefault(DEFAULT_NAME, models[0])
        for alias, engine_id in aliases.items():
            meant = self._by_name.get(fold_name(engine_id))
            if meant is not None:
                self._by_name.setdefault(fold_name(alias), meant)

    def find(self, name: str) -> EngineModel | None:
        """Give the model that ``name`` means, None when the engine has none such."""
        return self._by_name.get(fold_name(name))

    def with_status(self, model: EngineModel, status: str) -> "NameTable":
        """Give a table in which ``model`` has another status."""
        models = tuple(replace(m, status=status) if m is model else m for m in self.models)
        return NameTable(models, self._aliases)


def refuse_incapable(
    details: ModelDetails, common: Common, *, job: str, tools: bool = False
) -> None:
    """Raise Ollama's error for what the settings say a model can't do.

    A model whose capabilities the settings do not name is trusted to do everything.
    """
    if not details.capabilities:
        return
    if "completion" not in details.capabilities:
        raise UnsupportedFeature(f'"{common.model}" does not support {job}')
    if common.think and "thinking" not in details.capabilities:
        raise UnsupportedFeature(f'"{common.model}" does not support thinking')
    if tools and "tools" not in details.capabilities:
        raise UnsupportedFeature(f"{with_tag(common.model)} does not support tools")


def digest(engine_id: str) -> str:
    """Make up a stable digest: 64 hexadecimal digits, which clients slice and compare."""
    return hashlib.sha256(engine_id.encode()).hexdigest()


def details_part(details: ModelDetails) -> JsonObject:
    """Write the ``details`` object of tags, show and ps."""
    part: JsonObject = {
        "parent_model": "",
        "format": details.format,
        "family": details.family,
        "families": [details.family] if details.family else [],
        "parameter_size": details.parameter_size,
        "quantization_level": details.quantization_level,
    }
    if details.context_length:
        part["context_length"] = details.context_length
    if details.embedding_length:
        part["embedding_length"] = details.embedding_length
    return part


def to_tag(model: EngineModel, details: ModelDetails) -> JsonObject:
    """Write one element of ``GET /api/tags``."""
    name = with_tag(model.name)
    return {
        "name": name,
        "model": name,
        "modified_at": timestamp(datetime.fromtimestamp(model.created, UTC)),
        "size": details.size,
        "digest": digest(model.id),
        "details": details_part(details),
        "capabilities": list(details.capabilities or _CAPABILITIES),
    }


def to_process(model: EngineModel, details: ModelDetails, *, expires: datetime) -> JsonObject:
    """Write one element of ``GET /api/ps``."""
    name = with_tag(model.name)
    return {
        "name": name,
        "model": name,
        "size": details.size,
        "digest": digest(model.id),
        "details": details_part(details),
        "expires_at": timestamp(expires),
        "size_vram": details.size,
        "context_length": details.context_length,
    }


def to_show(model: EngineModel, details: ModelDetails) -> JsonObject:
    """Write the body of ``POST /api/show``.

    A length that is not known is left out: clients take a 0 at its word, and have defaults of
    their own for a key that is not there (LlamaIndex, LiteLLM, VS Code).
    """
    architecture = details.family or "unknown"
    info: JsonObject = {"general.architecture": architecture, "general.basename": model.name}
    parameters = ""
    if details.context_length:
        info[f"{architecture}.context_length"] = details.context_length
        # Where Continue looks for it; the engine's context is as fixed as a Modelfile's.
        parameters = f"{'num_ctx':<30} {details.context_length}"
    if details.embedding_length:
        info[f"{architecture}.embedding_length"] = details.embedding_length
    return {
        "license": details.license,
        "modelfile": f"# served by Mistral.rs\nFROM {model.id}\n",
        "parameters": parameters,
        "template": details.template,
        "details": details_part(details),
        "model_info": info,
        "capabilities": list(details.capabilities or _CAPABILITIES),
        "modified_at": timestamp(datetime.fromtimestamp(model.created, UTC)),
    }
