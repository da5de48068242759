"""Coding agents read a file with their own tool, in a streamed conversation over the proxy.

`make test-agents` installs them, which takes 1.2 GB, and runs these tests.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.agents.agents import AGENTS, MODULES, Agent
from tests.agents.stand_in import (
    SECRET,
    over_chat_completions,
    over_messages,
    over_responses,
)
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, ScriptedEngine
from tests.proxy.telemetry.counting import REQUESTS, STREAMS

pytestmark = pytest.mark.agent

PROMPT = "What does note.txt say?"
OWN = {"claude-code": over_messages, "codex": over_responses}


@pytest.fixture(autouse=True)
def installed() -> None:
    assert MODULES.is_dir(), "the agents aren't installed; run: make test-agents"


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    with ScriptedEngine() as running:
        yield running


@pytest.fixture
def proxy(engine: ScriptedEngine) -> Iterator[RunningProxy]:
    with RunningProxy(ProxySettings(engine_url=engine.url)) as running:
        yield running


@pytest.fixture
def note(tmp_path: Path) -> Path:
    file = tmp_path / "work" / "note.txt"
    file.parent.mkdir()
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    return file


def endpoint_of(agent: Agent) -> str:
    return agent.path.removeprefix("/").replace("/", "_")


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_calls_its_tool(
    engine: ScriptedEngine, proxy: RunningProxy, note: Path, tmp_path: Path, name: str
) -> None:
    """With an engine that has chat completions only."""
    agent = AGENTS[name]
    engine.chat(over_chat_completions(agent.tool, agent.arguments(note)))

    said = agent.run(tmp_path, proxy.url, MODEL, PROMPT)

    assert f"It says {SECRET}." in said
    assert all(call.json["stream"] for call in engine.calls())
    labels = {"endpoint": endpoint_of(agent)}
    scrape = proxy.idle()
    assert scrape.value(STREAMS, **labels, outcome="completed") >= 2
    assert scrape.value(REQUESTS, **labels, status="client_error") == 0
    assert scrape.value(REQUESTS, **labels, status="error") == 0


@pytest.mark.parametrize("name", OWN)
def test_an_agent_calls_its_tool_over_the_engines_own_endpoint(
    engine: ScriptedEngine, proxy: RunningProxy, note: Path, tmp_path: Path, name: str
) -> None:
    agent = AGENTS[name]
    engine.on(agent.path, OWN[name](agent.tool, agent.arguments(note)))

    said = agent.run(tmp_path, proxy.url, MODEL, PROMPT)

    assert f"It says {SECRET}." in said
    assert engine.calls() == []
    assert proxy.idle().value(STREAMS, endpoint=endpoint_of(agent), outcome="completed") >= 2
