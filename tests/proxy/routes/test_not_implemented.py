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
def test_what_a_proxy_cannot_do_is_a_501(proxy: RunningProxy, method: str, path: str) -> None:
    body = {"model": MODEL, "source": MODEL, "destination": "x"}
    response = proxy.http.request(method, path, json=body)

    assert response.status_code == 501
    assert "this server can't" in json.dumps(response.json())
    assert proxy.http.head(f"/api/blobs/sha256:{'0' * 64}").status_code == 404


def test_there_is_no_cloud_behind_the_proxy(proxy: RunningProxy) -> None:
    """Accounts and services of Ollama's cloud are reported as missing."""
    assert proxy.http.get("/api/status").json()["cloud"]["disabled"] is True
    assert proxy.http.post("/api/me").status_code == 401
    for method, path in (("POST", "/api/signout"), ("DELETE", "/api/user/keys/c3NoLWVkMjU1MTk")):
        refused = proxy.http.request(method, path)
        assert refused.status_code == 401
        assert refused.json() == {"error": "you are not currently signed in"}
    assert proxy.http.get("/api/user/keys/c3NoLWVkMjU1MTk").status_code == 405
    assert proxy.http.delete("/api/user/keys").status_code == 404
    assert proxy.http.post("/api/experimental/web_search", json={}).status_code == 501
    recommended = proxy.http.get("/api/experimental/model-recommendations").json()
    assert recommended == {"recommendations": []}
