"""Models found by the names that clients use."""

import pytest

from proxy_service.translate.models.lookup import NameTable
from proxy_service.translate.models.model import EngineModel


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Org/Model", "Org/Model"),
        ("org/model:LATEST", "Org/Model"),
        ("nick", "Org/Model"),
        ("nick:latest", "Org/Model"),
        ("tagged:7b", "tagged:7b"),
        ("tagged", None),
        ("default", None),
        ("", None),
    ],
)
def test_names_match_as_in_ollama(name: str, found: str | None) -> None:
    models = (EngineModel("Org/Model"), EngineModel("tagged:7b"))
    table = NameTable(models, {"Nick": "org/model", "lost": "nowhere"})
    model = table.find(name)

    assert (model.id if model else None) == found


def test_default_is_the_name_of_an_only_model() -> None:
    """OpenAI's clients find it in the engine's list."""
    model = EngineModel("only")

    assert NameTable((model,), {}).find("default") is model
