"""Anthropic's JavaScript client, under node, with an engine that has only chat completions."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.replies import calls_a_tool
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    ScriptedEngine,
    Step,
    delta_event,
    event,
    stream,
)

SCRIPT = Path(__file__).parent / "node" / "messages.mjs"
COUNTS = {"input_tokens": 11, "output_tokens": 18}


def run(url: str, job: str, model: str = MODEL) -> Any:  # noqa: ANN401  each job returns another type
    finished = subprocess.run(
        ["node", str(SCRIPT), url, model, job],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(finished.stdout)


@pytest.mark.parametrize("job", ["message", "stream"])
def test_a_message_is_the_same_whole_and_streamed(proxy_url: str, job: str) -> None:
    assert run(proxy_url, job)["result"] == {
        "content": [{"type": "text", "text": "Hello world"}],
        "stop_reason": "end_turn",
        "usage": COUNTS,
    }


@pytest.mark.parametrize("job", ["tools", "tools_stream"])
def test_tools(engine: ScriptedEngine, proxy_url: str, job: str) -> None:
    engine.chat(calls_a_tool)

    made = {"type": "tool_use", "id": "call-1", "name": "add", "input": {"a": 1, "b": 2}}
    assert run(proxy_url, job)["result"] == {
        "content": [made],
        "stop_reason": "tool_use",
        "usage": COUNTS,
    }
    assert engine.calls()[-1].json["tool_choice"] == "required"


def test_thoughts(engine: ScriptedEngine, proxy_url: str) -> None:
    thought = delta_event(None, reasoning_content="hm")
    engine.chat(stream(thought, delta_event("a", finish="stop", usage=USAGE), DONE))

    assert run(proxy_url, "stream")["result"]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "a"},
    ]


def test_an_unknown_model_is_its_not_found_error(proxy_url: str) -> None:
    failed = run(proxy_url, "message", "nope")

    assert (failed["error"], failed["status"]) == ("NotFoundError", 404)
    assert failed["body"]["error"]["type"] == "not_found_error"


@pytest.mark.parametrize(
    "ending", [Step.CUT, event({"error": {"message": "boom"}})], ids=["cut", "error"]
)
def test_an_error_in_a_stream_is_thrown(
    engine: ScriptedEngine, proxy_url: str, ending: Step | bytes
) -> None:
    engine.chat(stream(delta_event("a"), ending, DONE))

    assert run(proxy_url, "text")["error"] == "APIError"
