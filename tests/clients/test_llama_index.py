"""llama-index-llms-ollama and llama-index-embeddings-ollama."""

import ollama
import pytest
from llama_index.core.constants import DEFAULT_CONTEXT_WINDOW
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.ollama import OllamaEmbedding
from llama_index.llms.ollama import Ollama
from pydantic import BaseModel

from tests.clients.replies import calls_a_tool, writes_json
from tests.proxy.scripted_engine import MODEL, ScriptedEngine

HELLO = [ChatMessage(role="user", content="hi")]


class Person(BaseModel):
    """A person."""

    name: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def llm(proxy_url: str) -> Ollama:
    return Ollama(model=MODEL, base_url=proxy_url, request_timeout=30, context_window=4096)


def test_chat(llm: Ollama) -> None:
    assert llm.chat(HELLO).message.content == "Hello world"


def test_complete(llm: Ollama) -> None:
    assert llm.complete("hi").text == "Hello world"


def test_stream(llm: Ollama) -> None:
    assert "".join(part.delta or "" for part in llm.stream_chat(HELLO)) == "Hello world"


def test_an_unknown_context_window_is_llama_indexs_default(proxy_url: str) -> None:
    llm = Ollama(model=MODEL, base_url=proxy_url, request_timeout=30)

    assert llm.chat(HELLO).message.content == "Hello world"
    assert llm.metadata.context_window == DEFAULT_CONTEXT_WINDOW


def test_tools(engine: ScriptedEngine, llm: Ollama) -> None:
    engine.chat(calls_a_tool)

    reply = llm.chat_with_tools([FunctionTool.from_defaults(add)], user_msg="1 + 2?")
    calls = llm.get_tool_calls_from_response(reply)

    assert [(call.tool_name, call.tool_kwargs) for call in calls] == [("add", {"a": 1, "b": 2})]


def test_json_schema(engine: ScriptedEngine, llm: Ollama) -> None:
    engine.chat(writes_json)

    assert llm.as_structured_llm(Person).chat(HELLO).raw == Person(name="Ada")
    assert "response_format" in engine.calls()[-1].json


def test_embeddings(proxy_url: str) -> None:
    vectors = OllamaEmbedding(model_name=MODEL, base_url=proxy_url).get_text_embedding_batch(
        ["a", "b"]
    )

    assert len(vectors) == 2
    assert vectors[0] != vectors[1]


def test_error(proxy_url: str) -> None:
    with pytest.raises(ollama.ResponseError, match="not found"):
        Ollama(model="nope", base_url=proxy_url, request_timeout=30).chat(HELLO)
