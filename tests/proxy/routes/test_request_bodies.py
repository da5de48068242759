"""Request bodies of every endpoint: what is accepted, and how errors are worded."""

import json
from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.bodies import CHAT, USER
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL

POSTS = ("chat", "generate", "show", "embed", "embeddings", "pull", "push", "create", "copy")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "missing request body"),
        (b"{", "unexpected EOF"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"[1]", "json: cannot unmarshal array into Go value of type api."),
        (b'{"model":5}', "json: cannot unmarshal number into Go struct field"),
        (b'{"model":NaN}', "invalid character 'N' looking for beginning of value"),
        (b"[  " * 90_000, "nested too deeply"),
    ],
    ids=["empty", "cut", "text", "array", "number", "NaN", "deep"],
)
def test_an_invalid_body_is_a_400_with_ollamas_text(
    proxy: RunningProxy, path: str, body: bytes, text: str
) -> None:
    """As JSON, never as a page of the framework."""
    if path == "copy":
        body = body.replace(b"model", b"source")
    response = proxy.http.post(f"/api/{path}", content=body)

    assert response.status_code == 400
    assert response.headers["content-type"].startswith("application/json")
    assert text in response.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{"])
def test_an_invalid_body_of_a_delete_is_a_400(proxy: RunningProxy, body: bytes) -> None:
    response = proxy.http.request("DELETE", "/api/delete", content=body)

    assert response.status_code == 400
    assert list(response.json()) == ["error"]


def test_any_content_type_is_accepted(proxy: RunningProxy) -> None:
    """`curl -d` declares a form."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = json.dumps(CHAT | {"prompt": "x", "input": "x"}).encode()
    codes = {
        path: proxy.http.post(f"/api/{path}", content=body, headers=form).status_code
        for path in ("chat", "generate", "show", "embed", "embeddings", "pull")
    }
    deleted = proxy.http.request("DELETE", "/api/delete", content=body, headers=form)

    assert set(codes.values()) == {200}
    assert "this server can't" in deleted.json()["error"]


def test_keys_match_in_any_case(proxy: RunningProxy) -> None:
    """As Go's decoder does."""
    body = {"Model": MODEL, "MESSAGES": [{"Role": "USER", "Content": "hi"}], "Stream": False}

    assert proxy.http.post("/api/chat", json=body).status_code == 200


def test_an_image_of_20_mb_is_accepted_and_a_body_above_the_limit_is_a_413(
    settings: ProxySettings,
) -> None:
    with RunningProxy(replace(settings, max_body_bytes=30 * 1024 * 1024)) as proxy:
        message = USER[0] | {"images": ["A" * 20_000_000]}
        accepted = proxy.http.post("/api/chat", json=CHAT | {"messages": [message]})
        refused = proxy.http.post("/api/generate", content=b"x" * (31 * 1024 * 1024))
        scrape = proxy.idle()

    assert accepted.status_code == 200
    assert refused.status_code == 413
    assert list(refused.json()) == ["error"]
    assert "MAX_BODY_MIB" in refused.json()["error"]
    labels = {"endpoint": "generate", "status": "client_error"}
    assert scrape.value("mistral_http_requests_total", **labels) == 1
