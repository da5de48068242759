"""LiteLLM's two providers for Ollama."""

import os
from typing import Any

import pytest

# Set before the import, which would otherwise download a list of prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

from tests.clients.replies import PERSON, calls_a_tool, writes_json
from tests.proxy.scripted_engine import MODEL, ScriptedEngine

MESSAGES = [{"role": "user", "content": "hi"}]
ADD: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
PROVIDERS = pytest.mark.parametrize("provider", ["ollama", "ollama_chat"])


def complete(provider: str, url: str, **arguments: Any) -> Any:  # noqa: ANN401  LiteLLM's own type
    return litellm.completion(
        model=f"{provider}/{arguments.pop('model', MODEL)}",
        api_base=url,
        messages=MESSAGES,
        **arguments,
    )


@PROVIDERS
def test_chat(proxy_url: str, provider: str) -> None:
    reply = complete(provider, proxy_url, temperature=0.1, max_tokens=20, stop="END", seed=1)

    assert reply.choices[0].message.content == "Hello world"
    assert reply.usage.completion_tokens == 18


@PROVIDERS
def test_stream(proxy_url: str, provider: str) -> None:
    parts = complete(provider, proxy_url, stream=True)

    assert "".join(part.choices[0].delta.content or "" for part in parts) == "Hello world"


def test_tools(engine: ScriptedEngine, proxy_url: str) -> None:
    engine.chat(calls_a_tool)

    (call,) = complete("ollama_chat", proxy_url, tools=[ADD]).choices[0].message.tool_calls

    assert call.function.name == "add"


@PROVIDERS
def test_json_schema(engine: ScriptedEngine, proxy_url: str, provider: str) -> None:
    engine.chat(writes_json)
    schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}

    reply = complete(provider, proxy_url, response_format=schema)

    assert reply.choices[0].message.content == '{"name": "Ada"}'
    sent = engine.calls()[-1].json["response_format"]["json_schema"]["schema"]
    assert (sent["properties"], sent["required"]) == (PERSON["properties"], PERSON["required"])


def test_embeddings(proxy_url: str) -> None:
    reply = litellm.embedding(model=f"ollama/{MODEL}", input=["a", "b"], api_base=proxy_url)

    assert len(reply.data) == 2


def test_model_info(proxy_url: str) -> None:
    """LiteLLM reads the context length, and has no limit if there is none."""
    info = litellm.get_model_info(f"ollama/{MODEL}", api_base=proxy_url)

    assert info["max_tokens"] is None


@PROVIDERS
def test_error(proxy_url: str, provider: str) -> None:
    with pytest.raises(litellm.exceptions.NotFoundError, match="not found"):
        complete(provider, proxy_url, model="nope")
