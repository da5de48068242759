"""A model's details in tags, ps, show and pull, for engines that report them and that don't."""

import json
from dataclasses import replace

from proxy_service.settings.model_details import ModelDetails
from proxy_service.settings.schema import ProxySettings
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, ScriptedEngine, json_reply

SIZE = 98_000_000
DETAILS = {
    "format": "gguf",
    "family": "llama",
    "families": ["llama"],
    "parameter_size": "134.52M",
    "quantization_level": "Q4_1",
}
LISTED = {"id": MODEL, "max_model_len": 2048, "size": SIZE, "details": DETAILS}


def test_what_the_engine_reports_is_shown(engine: ScriptedEngine, settings: ProxySettings) -> None:
    """As Ollama shows it: in all three, and with the size where Ollama has one."""
    engine.on("/v1/models", json_reply({"data": [LISTED]}))
    with RunningProxy(settings) as proxy:
        (tag,) = proxy.http.get("/api/tags").json()["models"]
        (process,) = proxy.http.get("/api/ps").json()["models"]
        shown = proxy.http.post("/api/show", json={"model": MODEL}).json()
        pulled = proxy.http.post("/api/pull", json={"model": MODEL}).content.splitlines()

    expected = DETAILS | {"parent_model": "", "context_length": 2048}
    assert [tag["details"], process["details"], shown["details"]] == [expected] * 3
    assert [tag["size"], process["size"], process["size_vram"]] == [SIZE] * 3
    assert json.loads(pulled[1])["total"] == SIZE
    assert "size" not in shown
    assert shown["model_info"]["general.architecture"] == "llama"
    assert shown["model_info"]["llama.context_length"] == 2048


def test_a_model_that_uses_no_gpu_memory_has_size_vram_0(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Ollama's CLI then says that it runs on the CPU."""
    engine.on("/v1/models", json_reply({"data": [LISTED | {"size_vram": 0}]}))
    with RunningProxy(settings) as proxy:
        (process,) = proxy.http.get("/api/ps").json()["models"]

    assert (process["size"], process["size_vram"]) == (SIZE, 0)


def test_the_models_own_parameters_apply_before_ollamas_defaults(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """As a Modelfile's do: the request wins, then the model, then the default."""
    parameters = {"temperature": 0.2, "min_p": 0.05, "top_p": "high", "made_up": 1}
    engine.on("/v1/models", json_reply({"data": [LISTED | {"parameters": parameters}]}))
    request = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": False}
    with RunningProxy(settings) as proxy:
        proxy.http.post("/api/chat", json=request | {"options": {"min_p": 0.1}})
        shown = proxy.http.post("/api/show", json={"model": MODEL}).json()["parameters"]

    sent = engine.calls()[-1].json
    assert {name: sent[name] for name in ("temperature", "min_p", "top_p", "top_k")} == {
        "temperature": 0.2,
        "min_p": 0.1,
        "top_p": 0.9,
        "top_k": 40,
    }
    assert [line.split() for line in shown.splitlines()] == [
        ["num_ctx", "2048"],
        ["temperature", "0.2"],
        ["min_p", "0.05"],
    ]


def test_what_the_settings_say_wins_field_by_field(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    engine.on("/v1/models", json_reply({"data": [LISTED]}))
    configured = {MODEL: ModelDetails(family="smollm", size=5)}
    with RunningProxy(replace(settings, model_details=configured)) as proxy:
        (tag,) = proxy.http.get("/api/tags").json()["models"]

    assert tag["size"] == 5
    assert tag["details"] == DETAILS | {
        "parent_model": "",
        "family": "smollm",
        "families": ["smollm"],
        "context_length": 2048,
    }


def test_an_engine_that_reports_nothing_leaves_them_empty(proxy: RunningProxy) -> None:
    """With Mistral.rs, clients still get every field, and the usual format."""
    tag = proxy.http.get("/api/tags").json()["models"][0]

    assert tag["size"] == 0
    assert tag["details"] == {
        "parent_model": "",
        "format": "gguf",
        "family": "",
        "families": [],
        "parameter_size": "",
        "quantization_level": "",
    }
