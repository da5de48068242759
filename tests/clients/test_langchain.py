"""langchain-ollama."""

import ollama
import pytest
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

from tests.clients.replies import PERSON, calls_a_tool, writes_json
from tests.proxy.scripted_engine import MODEL, ScriptedEngine


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def chat(proxy_url: str) -> ChatOllama:
    return ChatOllama(model=MODEL, base_url=proxy_url, validate_model_on_init=True)


def test_chat_with_usage(chat: ChatOllama) -> None:
    reply = chat.invoke("hi")

    assert reply.content == "Hello world"
    assert reply.usage_metadata is not None
    assert (reply.usage_metadata["input_tokens"], reply.usage_metadata["output_tokens"]) == (11, 18)


def test_stream(chat: ChatOllama) -> None:
    assert "".join(str(part.content) for part in chat.stream("hi")) == "Hello world"


async def test_asynchronous_stream(chat: ChatOllama) -> None:
    assert "".join([str(part.content) async for part in chat.astream("hi")]) == "Hello world"


def test_tools(engine: ScriptedEngine, chat: ChatOllama) -> None:
    engine.chat(calls_a_tool)

    reply = chat.bind_tools([add]).invoke("1 + 2?")

    assert [(c["name"], c["args"]) for c in reply.tool_calls] == [("add", {"a": 1, "b": 2})]
    assert engine.calls()[-1].json["tools"][0]["function"]["name"] == "add"


def test_json_schema(engine: ScriptedEngine, chat: ChatOllama) -> None:
    engine.chat(writes_json)

    assert chat.with_structured_output(PERSON).invoke("who?") == {"name": "Ada"}
    assert engine.calls()[-1].json["response_format"]["type"] == "json_schema"


def test_completion(proxy_url: str) -> None:
    assert OllamaLLM(model=MODEL, base_url=proxy_url).invoke("hi") == "Hello world"


def test_embeddings(proxy_url: str) -> None:
    vectors = OllamaEmbeddings(model=MODEL, base_url=proxy_url).embed_documents(["a", "b"])

    assert len(vectors) == 2
    assert vectors[0] != vectors[1]


def test_error(proxy_url: str) -> None:
    with pytest.raises(ollama.ResponseError, match="not found"):
        ChatOllama(model="nope", base_url=proxy_url).invoke("hi")
    with pytest.raises(ValueError, match="not found"):
        ChatOllama(model="nope", base_url=proxy_url, validate_model_on_init=True)
