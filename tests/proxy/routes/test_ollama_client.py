"""Ollama's Python client, synchronous and asynchronous."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import ollama
import pytest

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    OTHER_MODEL,
    USAGE,
    ScriptedEngine,
    completion,
    delta_event,
    event,
    stream,
    words,
)

MESSAGES = [{"role": "user", "content": "hi"}]
TRICKY = ["a\u2028b", "\x85\x0b\x0c\x1c", '"quotes" \\', "\N{GRINNING FACE}", "\u2029 end"]


@pytest.fixture
def client(proxy: RunningProxy) -> Iterator[ollama.Client]:
    with ollama.Client(host=proxy.url, trust_env=False) as opened:
        yield opened


@pytest.fixture
async def async_client(proxy: RunningProxy) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(host=proxy.url, trust_env=False) as opened:
        yield opened


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


def test_list_show_and_ps_parse(client: ollama.Client) -> None:
    """Clients read these when they start."""
    names = [model.model for model in client.list().models]
    shown = client.show(MODEL)
    running = client.ps().models

    assert names == [f"{MODEL}:latest", f"{OTHER_MODEL}:latest"]
    assert shown.modelinfo is not None
    assert shown.capabilities is not None
    assert "completion" in shown.capabilities
    assert running[0].context_length is not None
    assert running[0].expires_at is not None


def test_a_whole_chat_has_text_counts_and_durations(client: ollama.Client) -> None:
    reply = client.chat(MODEL, MESSAGES)

    assert reply.message.content == "Hello world"
    assert reply.done
    assert reply.done_reason == "stop"
    assert (reply.prompt_eval_count, reply.eval_count) == (11, 18)
    assert reply.eval_duration == 52_000_000


def test_a_streamed_chat_has_exactly_the_engines_text(
    engine: ScriptedEngine, client: ollama.Client
) -> None:
    """Although the client splits lines at other characters than newlines."""
    engine.chat(words(*TRICKY))

    parts = [part.message.content or "" for part in client.chat(MODEL, MESSAGES, stream=True)]

    assert "".join(parts) == "".join(TRICKY)


def test_generate_whole_and_streamed_agree(client: ollama.Client) -> None:
    whole = client.generate(MODEL, "hi")
    streamed = list(client.generate(MODEL, "hi", stream=True))

    assert whole.response == "Hello world"
    assert "".join(part.response or "" for part in streamed) == "Hello world"
    assert streamed[-1].done
    assert streamed[-1].context == whole.context
    assert whole.context


def test_a_conversation_over_generate_continues_with_its_context(
    engine: ScriptedEngine, client: ollama.Client
) -> None:
    """The context of one response carries its turns into the next request."""
    first = client.generate(MODEL, "one")
    client.generate(MODEL, "two", context=first.context)

    turns = [(m["role"], m["content"]) for m in engine.calls()[-1].json["messages"]]
    assert turns == [("user", "one"), ("assistant", "Hello world"), ("user", "two")]


def test_a_tool_is_called_and_its_result_sent(
    engine: ScriptedEngine, client: ollama.Client
) -> None:
    """The client sends the result without an id."""
    call = {
        "index": 0,
        "id": "call-1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a":1,"b":2}'},
    }
    engine.chat(completion(None, finish="tool_calls", tool_calls=[call]))
    reply = client.chat(MODEL, MESSAGES, tools=[add])
    assert reply.message.tool_calls is not None
    assert reply.message.tool_calls[0].function.arguments == {"a": 1, "b": 2}

    result = {"role": "tool", "content": "3", "tool_name": "add"}
    client.chat(MODEL, [*MESSAGES, reply.message, result], tools=[add])

    assistant, tool = engine.calls()[-1].json["messages"][1:]
    sent = assistant["tool_calls"][0]
    assert sent["type"] == "function"
    assert json.loads(sent["function"]["arguments"]) == {"a": 1, "b": 2}
    assert tool == {
        "role": "tool",
        "tool_call_id": sent["id"],
        "name": "add",
        "content": "3",
    }


@pytest.mark.parametrize("streamed", [False, True])
def test_a_schema_is_sent_to_the_engine(
    engine: ScriptedEngine, client: ollama.Client, *, streamed: bool
) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
    if streamed:
        engine.chat(words('{"name"', ':"Ada"}'))
        parts = list(client.chat(MODEL, MESSAGES, format=schema, stream=True))
    else:
        engine.chat(completion('{"name":"Ada"}'))
        parts = [client.chat(MODEL, MESSAGES, format=schema)]

    assert json.loads("".join(part.message.content or "" for part in parts)) == {"name": "Ada"}
    sent = engine.calls()[0].json["response_format"]["json_schema"]["schema"]
    assert sent["properties"] == schema["properties"]
    assert sent["additionalProperties"] is False


def test_embeddings_are_in_order_and_normalised(client: ollama.Client) -> None:
    reply = client.embed(MODEL, ["a", "b"])

    assert len(reply.embeddings) == 2
    assert all(abs(sum(x * x for x in vector) - 1) < 1e-6 for vector in reply.embeddings)
    assert reply.embeddings[0] != reply.embeddings[1]
    assert reply.prompt_eval_count == 5


def test_an_unknown_model_raises_the_clients_own_error(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="model 'nope' not found") as raised:
        client.chat("nope", MESSAGES)

    assert raised.value.status_code == 404


def test_an_error_in_a_stream_raises_the_clients_own_error(
    engine: ScriptedEngine, client: ollama.Client
) -> None:
    engine.chat(stream(delta_event("a"), event({"error": {"message": "boom"}}), DONE))

    with pytest.raises(ollama.ResponseError, match="boom"):
        list(client.chat(MODEL, MESSAGES, stream=True))


def test_pull_succeeds_for_a_served_model_and_fails_for_any_other(client: ollama.Client) -> None:
    assert [part.status for part in client.pull(MODEL, stream=True)][-1] == "success"
    assert client.pull(MODEL).status == "success"
    with pytest.raises(ollama.ResponseError, match="pull model manifest"):
        client.pull("nope")
    with pytest.raises(ollama.ResponseError, match="pull model manifest"):
        list(client.pull("nope", stream=True))


@pytest.mark.parametrize("action", ["create", "copy", "push", "delete"])
def test_what_a_proxy_cannot_do_is_refused(client: ollama.Client, action: str) -> None:
    arguments = [MODEL, "copy"] if action == "copy" else [MODEL]

    with pytest.raises(ollama.ResponseError, match="this server can't") as raised:
        getattr(client, action)(*arguments)

    assert raised.value.status_code == 501


async def test_the_asynchronous_client_chats_streams_lists_and_fails(
    engine: ScriptedEngine, async_client: ollama.AsyncClient
) -> None:
    whole = await async_client.chat(MODEL, MESSAGES)
    engine.chat(stream(delta_event("x"), delta_event("y", finish="stop", usage=USAGE), DONE))
    parts = [
        part.message.content or ""
        async for part in await async_client.chat(MODEL, MESSAGES, stream=True)
    ]
    listed = await async_client.list()
    embedded = await async_client.embed(MODEL, ["a", "b"])

    assert (await async_client.show(MODEL)).modelinfo
    assert len((await async_client.ps()).models) == len(embedded.embeddings) == 2
    assert whole.message.content == "Hello world"
    assert "".join(parts) == "xy"
    assert len(listed.models) == 2
    with pytest.raises(ollama.ResponseError, match="not found"):
        await async_client.generate("nope", "hi")
