"""What `/api/chat` and `/api/generate` have in common."""

import json

import pytest

from proxy_service.translate.schemas.translation import OPTIONS, OPTIONS_KEYWORD
from proxy_service.wire import JsonObject
from tests.proxy.bodies import CHAT, COUNTS_AND_DURATIONS, GENERATE, THINKING_NAMES, USER, thinking
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    USAGE,
    ScriptedEngine,
    completion,
    delta_event,
    stream,
)

PNG = "iVBORw0KGgo="


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_a_whole_response_is_one_json_object(proxy: RunningProxy, path: str) -> None:
    response = proxy.http.post(f"/api/{path}", json=CHAT if path == "chat" else GENERATE)
    body = response.json()

    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert body["done"] is True
    assert body["done_reason"] == "stop"
    assert all(isinstance(body[name], int) for name in COUNTS_AND_DURATIONS)


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ("json", {"type": "object"}),
        ({"type": "array"}, {"type": "array"}),
        ("", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("path", ["chat", "generate"])
def test_format_becomes_a_response_format(
    engine: ScriptedEngine,
    proxy: RunningProxy,
    path: str,
    wanted: object,
    schema: JsonObject | None,
) -> None:
    """A format turns thinking off."""
    body = (CHAT if path == "chat" else GENERATE) | {"format": wanted}
    proxy.http.post(f"/api/{path}", json=body)

    sent = engine.calls()[0].json
    if schema is None:
        assert "response_format" not in sent
        assert "enable_thinking" not in sent
    else:
        named = {"name": "response", "schema": schema | {OPTIONS_KEYWORD: OPTIONS}}
        assert sent["response_format"] == {"type": "json_schema", "json_schema": named}
        assert sent["enable_thinking"] is False


@pytest.mark.parametrize("body", [CHAT, GENERATE, GENERATE | {"raw": True}])
def test_what_a_schema_loses_is_logged_once(
    proxy: RunningProxy, caplog: pytest.LogCaptureFixture, body: dict[str, object]
) -> None:
    path = "chat" if "messages" in body else "generate"
    for schema in (
        {"type": "array", "uniqueItems": True},
        {"type": "array", "uniqueItems": True, "contains": {"const": 1}},
        {"type": "object", "properties": {"a": {"type": "string", "default": "secret"}}},
    ):
        assert proxy.http.post(f"/api/{path}", json=body | {"format": schema}).is_success

    logged = [record for record in caplog.records if record.msg == "json_schema_loosened"]
    assert [record.__dict__["fields"] for record in logged] == [
        {"keyword": "uniqueItems"},
        {"keyword": "contains"},
    ]


@pytest.mark.parametrize("body", [CHAT, GENERATE, GENERATE | {"raw": True}])
@pytest.mark.parametrize(
    "schema",
    [{"$ref": "#/$defs/nothing"}, {"$ref": "https://example.com/x"}, {"anyOf": [{"a": 1}] * 6000}],
)
def test_a_schema_that_cant_be_translated_is_refused(
    engine: ScriptedEngine, proxy: RunningProxy, body: dict[str, object], schema: object
) -> None:
    path = "chat" if "messages" in body else "generate"
    refusal = proxy.http.post(f"/api/{path}", json=body | {"format": schema})

    assert refusal.status_code == 400
    assert refusal.json()["error"].startswith("invalid JSON schema in format: ")
    assert engine.calls() == []


@pytest.mark.parametrize("body", [CHAT, GENERATE, GENERATE | {"raw": True}])
def test_sampling_options_have_ollamas_defaults(
    engine: ScriptedEngine, proxy: RunningProxy, body: dict[str, object]
) -> None:
    """Each separately; an option that turns a filter off keeps its effect."""
    path = "chat" if "messages" in body else "generate"
    for options in ({}, {"temperature": 0.1}, {"top_k": 0, "top_p": None}):
        proxy.http.post(f"/api/{path}", json=body | {"options": options})

    names = ("temperature", "top_k", "top_p")
    calls = engine.calls("/v1/completions") if body.get("raw") else engine.calls()
    assert [[call.json.get(name) for name in names] for call in calls] == [
        [0.8, 40, 0.9],
        [0.1, 40, 0.9],
        [0.8, None, 0.9],
    ]


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_images_become_data_urls_beside_the_text(
    engine: ScriptedEngine, proxy: RunningProxy, path: str
) -> None:
    body = GENERATE | {"images": [PNG]}
    if path == "chat":
        body = CHAT | {"messages": [USER[0] | {"images": [PNG]}]}
    proxy.http.post(f"/api/{path}", json=body)

    assert engine.calls()[0].json["messages"][0]["content"] == [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]


@pytest.mark.parametrize("names", THINKING_NAMES, ids="+".join)
def test_a_whole_response_has_thinking_and_content(
    engine: ScriptedEngine, proxy: RunningProxy, names: tuple[str, ...]
) -> None:
    engine.chat(completion("answer", **thinking(names, "because")))

    chat = proxy.http.post("/api/chat", json=CHAT).json()
    generate = proxy.http.post("/api/generate", json=GENERATE).json()

    assert chat["message"] == {"role": "assistant", "content": "answer", "thinking": "because"}
    assert (generate["response"], generate["thinking"]) == ("answer", "because")


@pytest.mark.parametrize("names", THINKING_NAMES, ids="+".join)
def test_a_streamed_response_of_generate_has_thinking_and_response(
    engine: ScriptedEngine, proxy: RunningProxy, names: tuple[str, ...]
) -> None:
    engine.chat(
        stream(
            *(delta_event(None, **thinking(names, text)) for text in ("be", "cause")),
            delta_event("answer", **thinking(names, None)),
            delta_event("", finish="stop", usage=USAGE, **thinking(names, "")),
            DONE,
        )
    )
    response = proxy.http.post("/api/generate", json=GENERATE | {"stream": True})

    parts = [json.loads(line) for line in response.text.splitlines()]
    assert [(part["response"], part.get("thinking")) for part in parts] == [
        ("", "be"),
        ("", "cause"),
        ("answer", None),
        ("", None),
    ]


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_a_whole_reply_that_reports_an_error_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy, path: str
) -> None:
    """Even though its status is 200, and it has part of the text."""
    engine.chat(completion("Hel", finish="error"))
    response = proxy.http.post(f"/api/{path}", json=CHAT if path == "chat" else GENERATE)

    assert response.status_code == 500
    assert response.json() == {"error": "the engine failed while generating"}
