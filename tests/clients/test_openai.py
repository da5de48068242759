"""OpenAI's client, with `/v1`."""

from collections.abc import Iterator

import openai
import pytest

from tests.clients.replies import CALL, PERSON, calls_a_tool, writes_json
from tests.proxy.scripted_engine import MODEL, ScriptedEngine, Step, delta_event, json_reply, stream

CALLED = CALL["function"]["arguments"]
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.fixture
def client(proxy_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy_url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def test_chat(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model=MODEL, messages=MESSAGES)

    assert reply.choices[0].message.content == "Hello world"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 18


def test_stream(client: openai.OpenAI) -> None:
    parts = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)

    assert "".join(part.choices[0].delta.content or "" for part in parts) == "Hello world"


def test_tools(engine: ScriptedEngine, client: openai.OpenAI) -> None:
    engine.chat(calls_a_tool)

    reply = client.chat.completions.create(model=MODEL, messages=MESSAGES)

    assert reply.choices[0].message.tool_calls is not None


def test_json_schema_passes_unchanged(engine: ScriptedEngine, client: openai.OpenAI) -> None:
    engine.chat(writes_json)
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}

    client.chat.completions.create(model=MODEL, messages=MESSAGES, response_format=wanted)

    assert engine.calls()[-1].json["response_format"] == wanted


def test_models(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).id == MODEL


def test_embeddings(client: openai.OpenAI) -> None:
    reply = client.embeddings.create(model=MODEL, input=["a", "b"], encoding_format="float")

    assert len(reply.data) == 2


def test_responses_pass_through(engine: ScriptedEngine, client: openai.OpenAI) -> None:
    engine.on("/v1/responses", json_reply({"id": "r", "object": "response", "output": []}))

    assert client.responses.create(model=MODEL, input="hi").id == "r"


def test_responses_are_translated_if_the_engine_lacks_them(client: openai.OpenAI) -> None:
    whole = client.responses.create(model=MODEL, input="hi", instructions="be brief")
    with client.responses.stream(model=MODEL, input="hi") as events:
        deltas = [item.delta for item in events if item.type == "response.output_text.delta"]
        streamed = events.get_final_response()

    assert whole.output_text == streamed.output_text == "".join(deltas) == "Hello world"
    assert whole.usage is not None
    assert (whole.status, whole.usage.total_tokens) == ("completed", 29)


def test_responses_call_tools(engine: ScriptedEngine, client: openai.OpenAI) -> None:
    engine.chat(calls_a_tool)
    tool = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": False}
    asked = {"model": MODEL, "input": "hi", "tools": [tool]}

    (whole,) = client.responses.create(**asked).output
    with client.responses.stream(**asked) as events:
        (streamed,) = events.get_final_response().output

    assert (whole.type, whole.name, whole.arguments) == ("function_call", "add", CALLED)
    assert (streamed.type, streamed.name, streamed.arguments) == ("function_call", "add", CALLED)


def test_a_response_that_fails_within_its_stream_is_an_event(
    engine: ScriptedEngine, client: openai.OpenAI
) -> None:
    engine.chat(stream(delta_event("a"), Step.CUT))
    events = list(client.responses.create(model=MODEL, input="hi", stream=True))

    assert events[-1].type == "response.failed"


def test_an_unknown_model_raises_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nope", messages=MESSAGES)
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nope")


def test_a_broken_stream_raises(engine: ScriptedEngine, client: openai.OpenAI) -> None:
    engine.chat(stream(delta_event("a"), Step.CUT))

    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
