"""The names of models in every endpoint: accepted, unknown, missing or malformed."""

from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.bodies import CHAT, GENERATE
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, ScriptedEngine


@pytest.mark.parametrize(
    "name",
    [
        *(MODEL, f"{MODEL}:latest", MODEL.upper(), f"{MODEL}:local", "nickname"),
        *("library/nickname", "registry.ollama.ai/library/Nickname:latest"),
        f"https://registry.ollama.ai/{MODEL}",
    ],
)
def test_every_name_of_a_model_is_accepted(
    engine: ScriptedEngine, settings: ProxySettings, name: str
) -> None:
    """With and without tag, in any case, as an alias; the response repeats it as it was sent."""
    with RunningProxy(replace(settings, model_aliases={"nickname": MODEL})) as proxy:
        chat = proxy.http.post("/api/chat", json=CHAT | {"model": name})
        generate = proxy.http.post("/api/generate", json=GENERATE | {"model": name})
        embed = proxy.http.post("/api/embed", json={"model": name, "input": "x"})
        show = proxy.http.post("/api/show", json={"model": name})

    assert [r.json()["model"] for r in (chat, generate, embed)] == [name] * 3
    assert show.status_code == 200
    received = engine.calls() + engine.calls("/v1/embeddings")
    assert [call.json["model"] for call in received] == [MODEL] * 3


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("chat", "model 'nope' not found"),
        ("generate", "model 'nope' not found"),
        ("show", "model 'nope:latest' not found"),
        ("embed", 'model "nope" not found, try pulling it first'),
        ("embeddings", 'model "nope" not found, try pulling it first'),
    ],
)
def test_an_unknown_model_is_a_404_with_ollamas_text(
    proxy: RunningProxy, path: str, text: str
) -> None:
    """Clients match on these texts."""
    body = CHAT | {"prompt": "x", "input": "x", "model": "nope"}
    response = proxy.http.post(f"/api/{path}", json=body)

    assert (response.status_code, response.json()) == (404, {"error": text})


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("chat", 400, "model is required"),
        ("generate", 404, "model '' not found"),
        ("show", 400, "model is required"),
        ("embed", 404, "model '' not found"),
        ("embeddings", 400, "model is required"),
        ("pull", 400, "invalid model name"),
        ("push", 400, "model is required"),
    ],
)
def test_a_missing_model_is_an_error_with_ollamas_text(
    proxy: RunningProxy, path: str, status: int, text: str
) -> None:
    response = proxy.http.post(f"/api/{path}", json={})

    assert (response.status_code, response.json()) == (status, {"error": text})


@pytest.mark.parametrize("name", ["a b", "a/b/c/d", "-a", "a:", "a//b", "x" * 81, "n\u00e9"])
def test_a_malformed_name_is_a_400_with_ollamas_text(proxy: RunningProxy, name: str) -> None:
    body = CHAT | {"prompt": "x", "input": "x", "model": name}
    responses = {
        path: proxy.http.post(f"/api/{path}", json=body)
        for path in ("chat", "generate", "show", "embed", "embeddings", "pull")
    }
    deleted = proxy.http.request("DELETE", "/api/delete", json=body)
    copied = proxy.http.post("/api/copy", json={"source": MODEL, "destination": name})

    for response in responses.values():
        assert (response.status_code, response.json()) == (400, {"error": "invalid model name"})
    assert (deleted.status_code, deleted.json()) == (400, {"error": f'name "{name}" is invalid'})
    assert copied.json() == {"error": f'destination "{name}" is invalid'}
    assert copied.status_code == 400


def test_a_name_that_the_engine_lists_is_always_valid(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """The engine may use names that Ollama doesn't allow."""
    engine.status_of["a model of mine"] = "loaded"
    proxy.probe()

    assert proxy.http.post("/api/chat", json=CHAT | {"model": "A model of mine"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/show", 200),
        ("POST", "/api/pull", 200),
        ("POST", "/api/push", 501),
        ("POST", "/api/create", 501),
        ("DELETE", "/api/delete", 501),
    ],
)
def test_the_model_may_be_sent_as_name(
    proxy: RunningProxy, method: str, path: str, status: int
) -> None:
    """As ollama-js and older clients do; if both are sent, `model` wins."""
    for body in ({"name": MODEL}, {"name": "nope", "model": MODEL}):
        assert proxy.http.request(method, path, json=body).status_code == status
