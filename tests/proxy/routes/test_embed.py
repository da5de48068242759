"""`/api/embed` and `/api/embeddings`."""

import pytest

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, Reply, ScriptedEngine, json_reply


def test_the_proxy_applies_dimensions_and_scales_to_length_1(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """The engine refuses `dimensions`."""
    response = proxy.http.post("/api/embed", json={"model": MODEL, "input": "x", "dimensions": 8})

    (vector,) = response.json()["embeddings"]
    assert len(vector) == 8
    assert sum(x * x for x in vector) == pytest.approx(1)
    assert "dimensions" not in engine.calls("/v1/embeddings")[0].json


@pytest.mark.parametrize(
    ("path", "body", "response"),
    [
        ("embed", {"input": ""}, {"model": MODEL, "embeddings": []}),
        ("embed", {"input": []}, {"model": MODEL, "embeddings": []}),
        ("embed", {}, {"model": MODEL, "embeddings": []}),
        ("embeddings", {"prompt": ""}, {"embedding": []}),
    ],
)
def test_an_empty_input_does_not_reach_the_engine(
    engine: ScriptedEngine,
    proxy: RunningProxy,
    path: str,
    body: dict[str, object],
    response: dict[str, object],
) -> None:
    assert proxy.http.post(f"/api/{path}", json={"model": MODEL} | body).json() == response
    assert engine.calls("/v1/embeddings") == []


def test_the_older_endpoint_returns_the_vector_unchanged(proxy: RunningProxy) -> None:
    """As a flat list, not scaled."""
    response = proxy.http.post("/api/embeddings", json={"model": MODEL, "prompt": "x"}).json()

    assert response == {"embedding": [1.0, 2.0] * 8}


@pytest.mark.parametrize(("path", "field"), [("embed", "input"), ("embeddings", "prompt")])
def test_a_vector_with_nan_is_a_502(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, field: str
) -> None:
    """NaN isn't JSON, so clients couldn't read the response."""
    broken = b'{"data":[{"index":0,"embedding":[1.0,NaN]}]}'
    engine.on("/v1/embeddings", Reply((broken,), length=True))
    response = proxy.http.post(f"/api/{path}", json={"model": MODEL, field: "x"})

    assert response.status_code == 502
    assert "NaN" in response.json()["error"]


def test_embed_refuses_inputs_of_other_types(proxy: RunningProxy) -> None:
    response = proxy.http.post("/api/embed", json={"model": MODEL, "input": [1]})

    assert (response.status_code, response.json()) == (400, {"error": "invalid input type"})


def test_an_input_that_is_too_long_is_a_400_with_ollamas_text(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    message = "Prompt sequence length is greater than 512"
    engine.on("/v1/embeddings", json_reply({"message": message}, 422))
    response = proxy.http.post("/api/embed", json={"model": MODEL, "input": "x", "truncate": False})

    assert response.status_code == 400
    assert response.json() == {"error": "the input length exceeds the context length"}
