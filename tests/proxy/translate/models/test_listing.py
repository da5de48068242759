"""The engine's list of models."""

from typing import Any

import pytest

from proxy_service.errors import EngineProtocolError
from proxy_service.translate.models.listing import MAX_MODELS, from_model_list
from proxy_service.translate.models.lookup import NameTable


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        (["/models/tiny.gguf"], ["tiny.gguf"]),
        (["C:\\models\\tiny"], ["tiny"]),
        (["Qwen/Qwen3-4B"], ["Qwen/Qwen3-4B"]),
        (["/a/tiny", "/b/Tiny", "/b/other"], ["/a/tiny", "/b/Tiny", "other"]),
        (["/a/tiny", "tiny"], ["/a/tiny", "tiny"]),
        (["/"], ["/"]),
    ],
)
def test_a_model_whose_id_is_a_path_is_named_after_its_last_part(
    ids: list[str], names: list[str]
) -> None:
    """Mistral.rs lists the folder that it was started on, but clients shouldn't see it."""
    listed: list[Any] = [{"id": engine_id} for engine_id in ["default", *ids]]
    models = from_model_list({"data": listed}, {})
    table = NameTable(models, {})

    expected = dict(zip(ids, names, strict=True))
    assert {model.id: model.name for model in models} == expected
    assert {model.id: table.find(model.id) for model in models} == {m.id: m for m in models}
    assert {model.id: table.find(f"{model.name}:latest") for model in models} == {
        m.id: m for m in models
    }


def test_a_list_of_very_many_models_is_refused() -> None:
    listed: list[Any] = [{"id": str(number)} for number in range(MAX_MODELS)]

    assert len(from_model_list({"data": listed}, {})) == MAX_MODELS
    with pytest.raises(EngineProtocolError, match="more than 1000 models"):
        from_model_list({"data": [*listed, {"id": "one more"}]}, {})
