"""`/api/embed` and `/api/embeddings`."""

import pytest

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, Reply, ScriptedEngine, json_reply


def test_embed_shortens_and_normalises_here(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """The engine refuses `dimensions`."""
    reply = proxy.http.post("/api/embed", json={"model": MODEL, "input": "x", "dimensions": 8})

    (vector,) = reply.json()["embeddings"]
    assert len(vector) == 8
    assert sum(x * x for x in vector) == pytest.approx(1)
    assert "dimensions" not in engine.calls("/v1/embeddings")[0].json


@pytest.mark.parametrize(
    ("path", "body", "reply"),
    [
        ("embed", {"input": ""}, {"model": MODEL, "embeddings": []}),
        ("embed", {"input": []}, {"model": MODEL, "embeddings": []}),
        ("embed", {}, {"model": MODEL, "embeddings": []}),
        ("embeddings", {"prompt": ""}, {"embedding": []}),
    ],
)
def test_nothing_to_embed_needs_no_engine(
    engine: ScriptedEngine,
    proxy: RunningProxy,
    path: str,
    body: dict[str, object],
    reply: dict[str, object],
) -> None:
    assert proxy.http.post(f"/api/{path}", json={"model": MODEL} | body).json() == reply
    assert engine.calls("/v1/embeddings") == []


def test_the_older_endpoint_gives_the_vector_as_it_is(proxy: RunningProxy) -> None:
    """A flat list, not normalised."""
    reply = proxy.http.post("/api/embeddings", json={"model": MODEL, "prompt": "x"}).json()

    assert reply == {"embedding": [1.0, 2.0] * 8}


@pytest.mark.parametrize(("path", "field"), [("embed", "input"), ("embeddings", "prompt")])
def test_a_vector_of_no_numbers_is_a_502(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, field: str
) -> None:
    """NaN is no JSON: no client could read the answer."""
    broken = b'{"data":[{"index":0,"embedding":[1.0,NaN]}]}'
    engine.on("/v1/embeddings", Reply((broken,), length=True))
    answer = proxy.http.post(f"/api/{path}", json={"model": MODEL, field: "x"})

    assert answer.status_code == 502
    assert "NaN" in answer.json()["error"]


def test_embed_refuses_other_types(proxy: RunningProxy) -> None:
    answer = proxy.http.post("/api/embed", json={"model": MODEL, "input": [1]})

    assert (answer.status_code, answer.json()) == (400, {"error": "invalid input type"})


def test_too_long_an_input_to_embed_is_told_in_ollamas_words(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    message = "Prompt sequence length is greater than 512"
    engine.on("/v1/embeddings", json_reply({"message": message}, 422))
    answer = proxy.http.post("/api/embed", json={"model": MODEL, "input": "x", "truncate": False})

    assert answer.status_code == 400
    assert answer.json() == {"error": "the input length exceeds the context length"}
