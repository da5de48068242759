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
