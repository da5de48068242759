"""Open WebUI: its requests in its order, and what it reads in each response.

Source: open-webui, backend/open_webui/routers/ollama.py.
"""

import json
import re
from typing import Any

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    ScriptedEngine,
    delta_event,
    event,
    stream,
    words,
)


def verify_connection(proxy: RunningProxy) -> None:
    version = proxy.http.get("/api/version").json()["version"]
    # It cuts a suffix and compares versions as tuples of numbers.
    assert [int(part) for part in re.sub(r"^v|-.*", "", version).split(".")]


def model_list(proxy: RunningProxy) -> list[str]:
    models = proxy.http.get("/api/tags").json()["models"]
    assert all(model["model"] and model["name"] for model in models)
    return [model["model"] for model in models]


def chat(proxy: RunningProxy, model: str, **fields: object) -> list[dict[str, Any]]:
    body = {
        "model": model,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi", "images": []},
        ],
        "options": {"temperature": 0.7, "num_ctx": 8192, "stop": ["<end>"]},
        "stream": True,
        **fields,
    }
    with proxy.http.stream("POST", "/api/chat", json=body) as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = response.read().decode("ascii").split("\n")
    assert lines.pop() == ""
    return [json.loads(line) for line in lines]


def test_a_session_from_connecting_to_unloading(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Connect, list, show, chat, make a title, embed and unload."""
    verify_connection(proxy)
    model = model_list(proxy)[0]
    assert model == f"{MODEL}:latest"

    shown = proxy.http.post("/api/show", json={"model": model}).json()
    assert isinstance(shown["model_info"], dict)

    lines = chat(proxy, model)
    assert "".join(line["message"]["content"] for line in lines) == "Hello world"
    assert lines[-1]["done"]
    assert lines[-1]["eval_count"] / lines[-1]["eval_duration"] > 0

    title = proxy.http.post(
        "/api/chat",
        json={"model": model, "messages": [{"role": "user", "content": "?"}], "stream": False},
    )
    assert title.json()["message"]["content"] == "Hello world"

    vectors = proxy.http.post(
        "/api/embed", json={"model": model, "input": ["a", "b"], "truncate": True}
    ).json()["embeddings"]
    assert len(vectors) == 2

    running = proxy.http.get("/api/ps").json()["models"]
    assert {"name", "expires_at", "size_vram"} <= set(running[0])

    unloaded = proxy.http.post(
        "/api/generate", json={"model": model, "keep_alive": 0, "prompt": ""}
    )
    assert unloaded.json()["done_reason"] == "unload"
    assert {call.json["model"] for call in engine.calls()} == {MODEL}


def test_tool_calls_keep_their_positions(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Without `function.index`, Open WebUI would treat every call as the first one."""
    calls = [
        {
            "index": i,
            "id": f"call-{i}",
            "type": "function",
            "function": {"name": "search", "arguments": json.dumps({"q": str(i)})},
        }
        for i in range(3)
    ]
    engine.chat(stream(delta_event(None, finish="tool_calls", usage=USAGE, tool_calls=calls), DONE))

    lines = chat(proxy, f"{MODEL}:latest", tools=[{"type": "function", "function": {}}])
    found = [call for line in lines for call in line["message"].get("tool_calls", [])]

    assert [call["function"]["index"] for call in found] == [0, 1, 2]
    assert [call["function"]["arguments"]["q"] for call in found] == ["0", "1", "2"]


def test_thinking_comes_before_content(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """It opens a folded block at the first thinking, and closes it at the first content."""
    engine.chat(
        stream(
            delta_event(None, reasoning_content="let me"),
            delta_event(None, reasoning_content=" see"),
            delta_event("so"),
            delta_event("", finish="stop", usage=USAGE),
            DONE,
        )
    )

    messages = [line["message"] for line in chat(proxy, MODEL, think=True)]

    assert [m.get("thinking") for m in messages] == ["let me", " see", None, None]
    assert [m["content"] for m in messages] == ["", "", "so", ""]


def test_an_error_in_a_stream_is_a_line_that_open_webui_shows(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(delta_event("a"), event({"error": {"message": "boom"}}), DONE))

    assert chat(proxy, MODEL)[-1] == {"error": "boom"}


def test_no_line_is_longer_than_older_releases_can_read(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Releases before 0.6 fail on lines above 128 KB, so the pieces of a text aren't joined."""
    engine.chat(words(*["x" * 1000] * 300))

    longest = max(len(json.dumps(line)) for line in chat(proxy, MODEL))

    assert longest < 128 * 1024
