"""`/api/show`."""

from dataclasses import replace

import pytest

from proxy_service.settings.model_details import ModelDetails
from proxy_service.settings.schema import ProxySettings
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, OTHER_MODEL, ScriptedEngine, json_reply


@pytest.mark.parametrize("key", ["model", "name"])
def test_show_returns_what_the_settings_say(settings: ProxySettings, key: str) -> None:
    """The model can be given as `model` or `name`, and `model_info` is never null."""
    details = ModelDetails(family="llama", context_length=8192, template="{{ .Prompt }} tools")
    with RunningProxy(replace(settings, model_details={MODEL: details})) as proxy:
        shown = proxy.http.post("/api/show", json={key: MODEL}).json()

    assert shown["model_info"]["general.architecture"] == "llama"
    assert shown["model_info"]["llama.context_length"] == 8192
    assert shown["parameters"].split() == ["num_ctx", "8192"]
    assert "completion" in shown["capabilities"]
    assert shown["details"]["family"] == "llama"
    assert shown["template"] == "{{ .Prompt }} tools"


def test_a_context_length_that_the_engine_reports_is_shown(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Unless the settings name another, for example because the engine has little memory."""
    listed = [{"id": MODEL, "max_model_len": 4096}, {"id": OTHER_MODEL, "max_model_len": 4096}]
    engine.on("/v1/models", json_reply({"data": listed}))
    details = {OTHER_MODEL: ModelDetails(context_length=2048)}
    with RunningProxy(replace(settings, model_details=details)) as proxy:
        for name, length in ((MODEL, 4096), (OTHER_MODEL, 2048)):
            shown = proxy.http.post("/api/show", json={"model": name}).json()
            assert shown["model_info"]["unknown.context_length"] == length
        running = proxy.http.get("/api/ps").json()["models"]

    assert [process["context_length"] for process in running] == [4096, 2048]


def test_show_leaves_out_an_unknown_length(proxy: RunningProxy) -> None:
    """Clients would take a 0 literally, but use their own default if the key is missing."""
    shown = proxy.http.post("/api/show", json={"model": MODEL}).json()

    assert shown["model_info"]["general.architecture"]
    assert [key for key in shown["model_info"] if key.endswith("_length")] == []
    assert shown["parameters"] == ""
    assert "completion" in shown["capabilities"]


REPORTED = {
    "id": MODEL,
    "max_model_len": 4096,
    "details": {"family": "qwen3"},
    "parameters": {"temperature": 0.2, "top_k": 7, "top_p": 1.0, "stop": ["<end>", 'a "b"']},
    "template": "{% for message in messages %}{{ message.content }}{% endfor %}",
    "model_info": {
        "general.architecture": "qwen3",
        "general.parameter_count": 751_632_384,
        "qwen3.block_count": 28,
        "qwen3.context_length": 40_960,
        "tokenizer.ggml.add_bos_token": False,
    },
}


def test_what_the_engine_reports_of_a_model_is_shown(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Its context length is the engine's, which may be shorter than the model's."""
    engine.on("/v1/models", json_reply({"data": [REPORTED]}))
    proxy.probe()
    shown = proxy.http.post("/api/show", json={"model": MODEL}).json()

    assert shown["template"] == REPORTED["template"]
    assert shown["model_info"] == {
        "general.architecture": "qwen3",
        "general.basename": MODEL,
        "general.parameter_count": 751_632_384,
        "qwen3.block_count": 28,
        "qwen3.context_length": 4096,
        "tokenizer.ggml.add_bos_token": False,
    }
    assert shown["parameters"].splitlines() == [
        "num_ctx                        4096",
        "temperature                    0.2",
        "top_k                          7",
        "top_p                          1",
        'stop                           "<end>"',
        'stop                           "a \\"b\\""',
    ]
    assert not {"system", "tensors", "projector_info", "messages"} & set(shown)


def test_the_settings_come_before_what_the_engine_reports(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Also among the lengths, of which some clients take the first."""
    engine.on("/v1/models", json_reply({"data": [REPORTED]}))
    details = ModelDetails(family="mine", template="T", context_length=2048)
    with RunningProxy(replace(settings, model_details={MODEL: details})) as proxy:
        shown = proxy.http.post("/api/show", json={"model": MODEL}).json()

    assert shown["template"] == "T"
    lengths = [value for key, value in shown["model_info"].items() if "context_length" in key]
    assert lengths[0] == 2048
    assert shown["model_info"]["qwen3.block_count"] == 28


def test_a_system_prompt_and_options_of_the_request_are_in_the_modelfile(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """As in Ollama; the parameters stay the model's own."""
    engine.on("/v1/models", json_reply({"data": [REPORTED]}))
    details = {MODEL: ModelDetails(license='MIT\n"as is"')}
    asked = {"system": "Be brief.\n", "options": {"top_k": 9, "min_p": 0.1, "use_mmap": False}}
    with RunningProxy(replace(settings, model_details=details)) as proxy:
        shown = proxy.http.post("/api/show", json={"model": MODEL} | asked).json()

    assert shown["system"] == "Be brief.\n"
    assert "min_p" not in shown["parameters"]
    assert shown["modelfile"] == (
        "# served by Mistral.rs\n"
        f"FROM {MODEL}\n"
        f"TEMPLATE {REPORTED['template']}\n"
        'SYSTEM "Be brief.\n"\n'
        "PARAMETER num_ctx 4096\n"
        "PARAMETER temperature 0.2\n"
        "PARAMETER top_k 9\n"
        "PARAMETER top_p 1\n"
        "PARAMETER stop <end>\n"
        'PARAMETER stop a "b"\n'
        "PARAMETER min_p 0.1\n"
        "PARAMETER use_mmap false\n"
        'LICENSE """MIT\n"as is""""\n'
    )


@pytest.mark.parametrize("verbose", [True, False, None])
def test_verbose_changes_nothing(proxy: RunningProxy, verbose: object) -> None:
    """The engine reports neither vocabularies nor tensors; the template is ignored in Ollama."""
    plain = proxy.http.post("/api/show", json={"model": MODEL}).json()
    asked = {"model": MODEL, "verbose": verbose, "template": "ignored"}

    assert proxy.http.post("/api/show", json=asked).json() == plain


@pytest.mark.parametrize(
    "field", [{"verbose": "yes"}, {"system": 1}, {"options": []}, {"template": {}}]
)
def test_a_field_of_the_wrong_type_is_a_400(proxy: RunningProxy, field: dict[str, object]) -> None:
    response = proxy.http.post("/api/show", json={"model": MODEL} | field)

    assert response.status_code == 400
    assert "cannot unmarshal" in response.json()["error"]


@pytest.mark.parametrize("value", [None, 5, "x", [1], {}])
def test_a_report_of_the_wrong_type_is_ignored(
    engine: ScriptedEngine, proxy: RunningProxy, value: object
) -> None:
    listed = {"id": MODEL, "model_info": value, "template": value if value != "x" else None}
    engine.on("/v1/models", json_reply({"data": [listed]}))
    proxy.probe()
    shown = proxy.http.post("/api/show", json={"model": MODEL}).json()

    assert shown["template"] == ""
    assert set(shown["model_info"]) == {"general.architecture", "general.basename"}
