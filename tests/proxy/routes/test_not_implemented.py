"""Endpoints of Ollama's that a proxy can't serve."""

import json

import pytest

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/create"),
        ("POST", "/api/push"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("POST", f"/api/blobs/sha256:{'0' * 64}"),
        ("POST", "/v1/audio/transcriptions"),
    ],
)
def test_what_a_proxy_can_not_do_is_an_honest_error(
    proxy: RunningProxy, method: str, path: str
) -> None:
    body = {"model": MODEL, "source": MODEL, "destination": "x"}
    answer = proxy.http.request(method, path, json=body)

    assert answer.status_code == 501
    assert "this server can't" in json.dumps(answer.json())
    assert proxy.http.head(f"/api/blobs/sha256:{'0' * 64}").status_code == 404


def test_ollamas_cloud_is_not_here(proxy: RunningProxy) -> None:
    """What belongs to accounts and services of Ollama's maker is told as absent."""
    assert proxy.http.get("/api/status").json()["cloud"]["disabled"] is True
    assert proxy.http.post("/api/me").status_code == 401
    assert proxy.http.post("/api/experimental/web_search", json={}).status_code == 501
    recommended = proxy.http.get("/api/experimental/model-recommendations").json()
    assert recommended == {"recommendations": []}
