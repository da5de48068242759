"""Finds the engine's model for a name that a client uses."""

from collections.abc import Mapping
from dataclasses import replace

from proxy_service.translate.models.model import DEFAULT_NAME, EngineModel
from proxy_service.translate.models.names import fold_name


class NameTable:
    """The engine's models by id, name and alias.

    An alias never hides a model of the engine. While the engine has only one model, its name
    ``default`` works too, because OpenAI's clients find it in the engine's list.
    """

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
        """Return the model that ``name`` means, or None if the engine lists no such model."""
        return self._by_name.get(fold_name(name))

    def with_status(self, model: EngineModel, status: str) -> "NameTable":
        """Return a copy in which ``model`` has another status."""
        models = tuple(replace(m, status=status) if m is model else m for m in self.models)
        return NameTable(models, self._aliases)
