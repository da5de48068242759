"""Which models are in use, and when each idle one is to be unloaded; no I/O.

As in Ollama's scheduler: a model stays loaded for its ``keep_alive`` after its last use. A request
that names a ``keep_alive`` changes it for the model until a later request names another, or the
model is unloaded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

NEVER = float("inf")


@dataclass(slots=True)
class _Model:
    keep_alive_seconds: float
    uses: int = 0
    last_used: float = 0.0
    expires_at: float = NEVER


class ModelUses:
    """The uses of each model, by the engine's id; times are in seconds of one monotonic clock."""

    def __init__(self, keep_alive_seconds: float) -> None:
        """Keep models for ``keep_alive_seconds`` unless a request names another time."""
        self._keep_alive_seconds = keep_alive_seconds
        self._models: dict[str, _Model] = {}

    def begin(self, model_id: str, *, keep_alive_seconds: float | None = None) -> None:
        """Count one more use."""
        model = self._model(model_id)
        model.uses += 1
        if keep_alive_seconds is not None:
            model.keep_alive_seconds = keep_alive_seconds

    def end(self, model_id: str, *, now: float) -> None:
        """End one use; the model's time begins to run with the end of its last one."""
        model = self._models[model_id]
        model.uses -= 1
        _rest(model, now)

    def asked_for(self, model_id: str, *, now: float, keep_alive_seconds: float | None) -> None:
        """Let a model's time begin again, as a request without a prompt does."""
        model = self._model(model_id)
        if keep_alive_seconds is not None:
            model.keep_alive_seconds = keep_alive_seconds
        _rest(model, now)

    def postpone(self, model_id: str, *, until: float) -> None:
        """Let a model expire later, because it couldn't be unloaded."""
        self._models[model_id].expires_at = until

    def listed(self, loaded: Iterable[str], *, now: float) -> None:
        """Take over which models are loaded; the time of one that is new begins to run.

        What is known about a model that isn't loaded any more is forgotten.
        """
        ids = set(loaded)
        for model_id in ids - self._models.keys():
            _rest(self._model(model_id), now)
        for model_id in self._models.keys() - ids:
            if not self._models[model_id].uses:
                del self._models[model_id]

    def in_use(self, model_id: str) -> bool:
        """Return whether a request uses the model."""
        model = self._models.get(model_id)
        return model is not None and model.uses > 0

    def expires_at(self, model_id: str, *, now: float) -> float:
        """Return when the model is to be unloaded if no further request uses it."""
        model = self._model(model_id)
        return now + model.keep_alive_seconds if model.uses else model.expires_at

    def next_to_expire(self) -> tuple[str, float]:
        """Return the idle model that expires first, and when; never if there is none."""
        idle = ((model.expires_at, id_) for id_, model in self._models.items() if not model.uses)
        expires_at, model_id = min(idle, default=(NEVER, ""))
        return model_id, expires_at

    def least_recently_used(self, model_ids: Iterable[str]) -> str | None:
        """Return the idle one of these models whose last use is the longest ago."""
        idle = [model_id for model_id in model_ids if not self.in_use(model_id)]
        return min(idle, key=lambda model_id: self._model(model_id).last_used, default=None)

    def _model(self, model_id: str) -> _Model:
        return self._models.setdefault(model_id, _Model(self._keep_alive_seconds))


def _rest(model: _Model, now: float) -> None:
    model.last_used = now
    model.expires_at = now + model.keep_alive_seconds
