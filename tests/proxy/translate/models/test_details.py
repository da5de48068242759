"""Details of models: read from the engine's list, and merged with the settings'."""

from dataclasses import replace
from typing import Any

import pytest

from proxy_service.settings.model_details import ModelDetails
from proxy_service.translate.models.details import merged
from proxy_service.translate.models.listing import from_model_list
from proxy_service.translate.models.model import EngineModel

REPORTED: dict[str, Any] = {
    "id": "Org/Tiny",
    "max_model_len": 2048,
    "size": 98_000_000,
    "details": {
        "format": "gguf",
        "family": "llama",
        "families": ["llama", "clip"],
        "parameter_size": "134.52M",
        "quantization_level": "Q4_1",
    },
}
READ = ModelDetails(
    family="llama",
    format="gguf",
    parameter_size="134.52M",
    quantization_level="Q4_1",
    context_length=2048,
    size=98_000_000,
)


def listed(entry: dict[str, Any], **configured: ModelDetails) -> EngineModel:
    body: Any = {"data": [entry]}
    (model,) = from_model_list(body, configured)
    return model


def test_details_that_the_engine_reports_are_read() -> None:
    model = listed(REPORTED)

    assert model.details == READ
    assert model.families == ("llama", "clip")


@pytest.mark.parametrize("wrong", [None, "5", 1.5, -1, True, [], {}, 10**30])
def test_numbers_of_a_wrong_type_are_ignored(wrong: object) -> None:
    """The other fields are still read."""
    assert listed(REPORTED | {"max_model_len": wrong}).details == replace(READ, context_length=0)
    assert listed(REPORTED | {"size": wrong}).details == replace(READ, size=0)


@pytest.mark.parametrize("wrong", [None, 5, True, "x", [], [1], {}])
def test_details_that_are_not_an_object_are_ignored(wrong: object) -> None:
    model = listed(REPORTED | {"details": wrong})

    assert model.details == ModelDetails(context_length=2048, size=98_000_000)
    assert model.families == ()


@pytest.mark.parametrize("wrong", [5, None, ["x"], {}, True])
@pytest.mark.parametrize("field", ["format", "family", "parameter_size", "quantization_level"])
def test_a_detail_of_a_wrong_type_is_ignored(field: str, wrong: object) -> None:
    model = listed(REPORTED | {"details": REPORTED["details"] | {field: wrong}})

    assert getattr(model.details, field) == ""
    assert model.details.context_length == 2048


@pytest.mark.parametrize("wrong", [None, "llama", ["llama", 5], {"llama": 1}])
def test_families_of_a_wrong_type_are_ignored(wrong: object) -> None:
    assert listed(REPORTED | {"details": {"families": wrong}}).families == ()


@pytest.mark.parametrize("key", ["org/tiny", "tiny.gguf"])
def test_each_setting_wins_over_what_the_engine_reports(key: str) -> None:
    """The key may be the engine's id or the name that clients use."""
    engine_id = "/models/tiny.gguf" if key == "tiny.gguf" else REPORTED["id"]
    configured = ModelDetails(family="qwen", context_length=512, license="MIT")
    model = listed(REPORTED | {"id": engine_id}, **{key: configured})

    assert model.details == ModelDetails(
        family="qwen",
        format="gguf",
        parameter_size="134.52M",
        quantization_level="Q4_1",
        context_length=512,
        size=98_000_000,
        license="MIT",
    )
    assert model.families == ()


def test_the_engines_families_stay_if_the_settings_name_no_family() -> None:
    assert listed(REPORTED, **{"org/tiny": ModelDetails(size=1)}).families == ("llama", "clip")


def test_merging_keeps_every_field_that_only_one_side_knows() -> None:
    configured = ModelDetails(template="t", capabilities=("completion",), embedding_length=64)

    assert merged(configured, ModelDetails(size=5)) == ModelDetails(
        template="t", capabilities=("completion",), embedding_length=64, size=5
    )
