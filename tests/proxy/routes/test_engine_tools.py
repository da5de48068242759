"""Clients can't have the engine run, search, fetch or keep anything, unless that is allowed."""

from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, ScriptedEngine

MESSAGES = [{"role": "user", "content": "x"}]
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def part(kind: str, url: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": [{"type": kind, kind: url}]}]


REFUSED: dict[str, dict[str, object]] = {
    "shell": {"enable_shell": True},
    "code": {"enable_code_execution": True},
    "permission": {"agent_permission": "auto"},
    "code permission": {"code_execution_permission": "auto"},
    "session": {"session_id": "someone else's"},
    "files": {"files": [{"name": "x"}]},
    "MCP": {"mcp_servers": [{"url": "http://10.0.0.1"}]},
    "search": {"web_search_options": {"search_context_size": "low"}},
    "a key in another case": {"Enable_Shell": True},
    "a tool of the engine": {"tools": [FUNCTION, {"type": "code_interpreter"}]},
    "a tool in a namespace": {"tools": [{"type": "namespace", "tools": [{"type": "shell"}]}]},
    "a dated tool": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "a local file": {"messages": part("image_url", {"url": "file:///etc/passwd"})},
    "a path": {"messages": part("image_url", {"url": "/etc/passwd"})},
    "a private address": {"messages": part("image_url", {"url": "http://169.254.169.254/"})},
    "a name": {"messages": part("audio_url", {"url": "https://example.org/a.wav"})},
    "a URL without an object": {"messages": part("video_url", "HTTP://localhost/")},
    "Anthropic's source": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "content": [{"type": "image", "source": {"type": "url", "url": "ftp://x"}}],
                    }
                ],
            }
        ]
    },
    "a stored file": {"messages": [{"role": "user", "content": [{"file": {"file_id": "f1"}}]}]},
    "input of responses": {"input": part("image_url", "http://127.0.0.1:9090/")},
}
ACCEPTED: dict[str, dict[str, object]] = {
    "a function": {"tools": [FUNCTION]},
    "tools without a type": {"tools": [{"name": "f", "input_schema": {"type": "object"}}]},
    "functions in a namespace": {
        "tools": [{"type": "namespace", "name": "n", "tools": [FUNCTION]}]
    },
    "a data URL": {"messages": part("image_url", {"url": PIXEL})},
    "switched off": {"enable_shell": False, "files": [], "session_id": None},
    "a URL in a text": {"messages": [{"role": "user", "content": "see http://localhost/"}]},
    "URLs in arguments, results and citations of Anthropic's": {
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "1", "name": "f", "input": {"image_url": "x"}},
                    {"type": "text", "text": "x", "citations": [{"url": "http://example.org/"}]},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "content": "http://10.0.0.1"}]},
        ]
    },
    "a URL in a tool's arguments": {
        "messages": [
            *MESSAGES,
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "fetch", "arguments": '{"url":"http://localhost/"}'},
                    }
                ],
            },
        ]
    },
}


@pytest.fixture
def allowing(settings: ProxySettings) -> ProxySettings:
    return replace(settings, allow_engine_tools=True)


@pytest.mark.parametrize("extra", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses", "messages"])
def test_v1_refuses_what_the_engine_would_do_itself(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, extra: dict[str, object]
) -> None:
    body = {"model": MODEL, "messages": MESSAGES} | extra
    response = proxy.http.post(f"/v1/{path}", json=body)

    assert response.status_code == 400
    assert "ALLOW_ENGINE_TOOLS" in response.json()["error"]["message"]
    assert engine.calls() == []


@pytest.mark.parametrize("extra", ACCEPTED.values(), ids=ACCEPTED)
def test_v1_passes_on_what_the_client_does_itself(
    engine: ScriptedEngine, proxy: RunningProxy, extra: dict[str, object]
) -> None:
    body = {"model": MODEL, "messages": MESSAGES} | extra

    assert proxy.http.post("/v1/chat/completions", json=body).status_code == 200
    assert engine.calls()[0].json == body


def test_the_operator_can_allow_it(engine: ScriptedEngine, allowing: ProxySettings) -> None:
    with RunningProxy(allowing) as proxy:
        for number, extra in enumerate(REFUSED.values()):
            body = {"model": MODEL, "messages": MESSAGES} | extra
            assert proxy.http.post("/v1/chat/completions", json=body).status_code == 200
            read = {key.lower(): value for key, value in body.items()}
            assert engine.calls()[number].json == read


@pytest.mark.parametrize(
    ("hidden", "spelling"),
    [
        ({"enable_shell": True}, "Enable_Shell"),
        ({"files": [{"name": "x"}]}, "FILES"),
        ({"tools": [{"type": "shell"}]}, "Tools"),
        ({"messages": part("image_url", "http://127.0.0.1/")}, "Messages"),
    ],
)
def test_a_key_in_another_case_hides_nothing(
    engine: ScriptedEngine, proxy: RunningProxy, hidden: dict[str, object], spelling: str
) -> None:
    """Of keys that differ in case the last one counts; the engine gets what was checked."""
    (key,) = hidden
    harmless = MESSAGES if key == "messages" else None
    body = {"model": MODEL, "messages": MESSAGES} | hidden | {spelling: harmless}

    assert proxy.http.post("/v1/chat/completions", json=body).status_code == 200
    (call,) = engine.calls()
    assert call.json == {"model": MODEL, "messages": MESSAGES} | {key: harmless}


def test_chat_refuses_tools_that_are_not_functions(
    engine: ScriptedEngine, proxy: RunningProxy, allowing: ProxySettings
) -> None:
    body = {"model": MODEL, "messages": MESSAGES, "tools": [{"type": "shell"}], "stream": False}
    response = proxy.http.post("/api/chat", json=body)

    assert response.status_code == 400
    assert "ALLOW_ENGINE_TOOLS" in response.json()["error"]
    assert engine.calls() == []
    with RunningProxy(allowing) as other:
        assert other.http.post("/api/chat", json=body).status_code == 200
