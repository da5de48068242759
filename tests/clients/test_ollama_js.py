"""Ollama's JavaScript client, under node."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.replies import calls_a_tool, writes_json
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    OTHER_MODEL,
    ScriptedEngine,
    Step,
    delta_event,
    event,
    stream,
)

SCRIPT = Path(__file__).parent / "node" / "check.mjs"


def run(url: str, job: str, model: str = MODEL) -> Any:  # noqa: ANN401  each job returns another type
    finished = subprocess.run(
        ["node", str(SCRIPT), url, model, job],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(finished.stdout)


@pytest.mark.parametrize("job", ["chat", "chat_stream", "generate", "generate_stream"])
def test_text(proxy_url: str, job: str) -> None:
    assert run(proxy_url, job) == {"result": "Hello world"}


def test_tools(engine: ScriptedEngine, proxy_url: str) -> None:
    engine.chat(calls_a_tool)

    (call,) = run(proxy_url, "tools")["result"]

    assert call["function"]["arguments"] == {"a": 1, "b": 2}


def test_json_schema(engine: ScriptedEngine, proxy_url: str) -> None:
    engine.chat(writes_json)

    assert run(proxy_url, "format") == {"result": {"name": "Ada"}}


def test_models(proxy_url: str) -> None:
    assert run(proxy_url, "list") == {"result": [f"{MODEL}:latest", f"{OTHER_MODEL}:latest"]}
    assert "completion" in run(proxy_url, "show")["result"]
    assert run(proxy_url, "ps") == {"result": 2}
    assert run(proxy_url, "embed") == {"result": 2}
    assert run(proxy_url, "version")["result"].count(".") == 2


def test_pull(proxy_url: str) -> None:
    assert run(proxy_url, "pull") == {"result": "success"}
    assert run(proxy_url, "pull_stream")["result"].endswith(";success;")
    assert "pull model manifest" in run(proxy_url, "pull", "nope")["error"]
    assert "pull model manifest" in run(proxy_url, "pull_stream", "nope")["error"]


def test_errors_have_ollamas_text_and_status(proxy_url: str) -> None:
    assert run(proxy_url, "chat", "nope") == {"error": "model 'nope' not found", "status": 404}
    assert run(proxy_url, "delete")["status"] == 501


@pytest.mark.parametrize(
    "ending", [Step.CUT, event({"error": {"message": "boom"}})], ids=["cut", "error"]
)
def test_an_error_in_a_stream_is_thrown(
    engine: ScriptedEngine, proxy_url: str, ending: Step | bytes
) -> None:
    engine.chat(stream(delta_event("a"), ending, DONE))

    assert run(proxy_url, "chat_stream")["error"]
