"""`EngineModel`: one model that the engine lists."""

from dataclasses import dataclass, field

from proxy_service.settings.model_details import ModelDetails
from proxy_service.wire import JsonObject

# The engine's name for its default model. The proxy never sends it, because another model
# becomes the default when that one is unloaded.
DEFAULT_NAME = "default"
LOADED, UNLOADED, RELOADING = "loaded", "unloaded", "reloading"

_UNKNOWN = ModelDetails()


@dataclass(frozen=True, slots=True)
class EngineModel:
    """One model that the engine lists.

    Attributes:
        id: The engine's own name for it, which requests to the engine carry.
        created: Unix seconds.
        status: ``loaded``, ``unloaded`` or ``reloading``.
        parent: Id of the base model, if it is a LoRA adapter: what is loaded for it; else empty.
        name: The name that clients and metrics use; the id unless another is given.
        details: What the settings say about it, or else what the engine reports.
        families: The engine's list of families; empty if there is none, or if the settings
            name a family.
        parameters: The model's own values of Ollama's options.
        info: What its file says about it, as in Ollama's ``model_info``.
        vram_bytes: How much memory of a GPU it takes; None if the engine doesn't say.
    """

    id: str
    created: int = 0
    status: str = LOADED
    parent: str = ""
    name: str = ""
    details: ModelDetails = _UNKNOWN
    families: tuple[str, ...] = ()
    parameters: JsonObject = field(default_factory=dict)
    info: JsonObject = field(default_factory=dict)
    vram_bytes: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.id)
