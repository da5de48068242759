"""The main endpoints with a real engine and a tiny model.

This is the embedded engine unless ``REAL_ENGINE_URL`` is the URL of a running Mistral.rs server,
which must serve the model that ``python -m tests.tiny_llama FOLDER`` writes.
"""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from proxy_service.settings.schema import ProxySettings
from tests.processes import running_engine
from tests.proxy.running import RunningProxy, eventually
from tests.tiny_llama import CONTEXT_LENGTH, make_tiny_llama

MESSAGES = [{"role": "user", "content": "Tell me something."}]
GREEDY: dict[str, Any] = {"temperature": 0, "num_predict": 40}
ONE_OR_TWO = {
    "type": "object",
    "properties": {"a": {"enum": [1, 2]}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def engine_url() -> Iterator[str]:
    if url := os.environ.get("REAL_ENGINE_URL"):
        yield url
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        running_engine(make_tiny_llama(Path(folder) / "tiny")) as url,
    ):
        yield url


@pytest.fixture
def proxy(engine_url: str) -> Iterator[RunningProxy]:
    with RunningProxy(ProxySettings(engine_url=engine_url)) as running:
        yield running


@pytest.fixture
def client(proxy: RunningProxy) -> Iterator[ollama.Client]:
    with ollama.Client(host=proxy.url, trust_env=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def thinking() -> Iterator[RunningProxy]:
    """Yield a proxy of the embedded engine with a model "thinker" that thinks."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_engine(make_tiny_llama(Path(folder) / "thinker", thinks=True)) as url,
        RunningProxy(ProxySettings(engine_url=url)) as proxy,
    ):
        yield proxy


@pytest.fixture(scope="module")
def thinking_client(thinking: RunningProxy) -> Iterator[ollama.Client]:
    with ollama.Client(host=thinking.url, trust_env=False) as opened:
        yield opened


@pytest.fixture
def model(client: ollama.Client) -> str:
    (listed,) = client.list().models
    assert listed.model is not None
    return listed.model


def chat_text(client: ollama.Client, model: str, *, streamed: bool, **asked: object) -> str:
    """Return the content of a response, whole or joined from its chunks."""
    fields: dict[str, Any] = asked
    if not streamed:
        return client.chat(model, MESSAGES, **fields).message.content or ""
    parts = client.chat(model, MESSAGES, stream=True, **fields)
    return "".join(part.message.content or "" for part in parts)


def text_of(client: ollama.Client, model: str, **options: object) -> str:
    return chat_text(client, model, streamed=False, options=GREEDY | options)


def streamed_text_of(client: ollama.Client, model: str, **options: object) -> str:
    return chat_text(client, model, streamed=True, options=GREEDY | options)


def test_a_chat_has_the_same_text_whole_and_streamed(client: ollama.Client, model: str) -> None:
    whole = text_of(client, model)

    assert len(whole) > 10
    assert streamed_text_of(client, model) == whole


@pytest.mark.parametrize("role", ["developer", "control", "document 4", "narrator", "Thinking", ""])
def test_a_message_in_any_role_reaches_the_model(
    proxy: RunningProxy, model: str, role: str
) -> None:
    """The prompt is longer by the whole message."""
    text, counts = "It rains in Bergen.", []
    for messages in (MESSAGES, [*MESSAGES, {"role": role, "content": text}, *MESSAGES]):
        body = {"model": model, "messages": messages, "stream": False, "options": GREEDY}
        counts.append(proxy.http.post("/api/chat", json=body).json()["prompt_eval_count"])

    # The template of the tiny model, one byte of which is one token, has no place for thoughts.
    added = len(MESSAGES[0]["content"]) + (0 if role == "Thinking" else len(text))
    assert counts[1] - counts[0] >= added


@pytest.mark.parametrize("kind", [{}, {"type": ""}, {"type": "Function"}])
def test_a_tool_of_any_type_is_accepted(
    proxy: RunningProxy, model: str, kind: dict[str, str]
) -> None:
    tool = kind | {"function": {"name": "look", "parameters": {"type": "object"}}}
    body = {"model": model, "messages": MESSAGES, "tools": [tool], "stream": False}
    response = proxy.http.post("/api/chat", json=body | {"options": {"num_predict": 1}})

    assert response.status_code == 200, response.text


def test_generate_works_with_and_without_raw(client: ollama.Client, model: str) -> None:
    templated = client.generate(model, "Tell me something.", options=GREEDY)
    raw = client.generate(model, "Tell me something.", raw=True, options=GREEDY)
    streamed = list(
        client.generate(model, "Tell me something.", raw=True, stream=True, options=GREEDY)
    )

    assert templated.response
    assert raw.response == "".join(part.response or "" for part in streamed)
    assert raw.eval_count == streamed[-1].eval_count == 40


@pytest.mark.parametrize("limit", [1, 7, 30])
def test_a_token_limit_is_kept_and_reported(client: ollama.Client, model: str, limit: int) -> None:
    reply = client.chat(model, MESSAGES, options=GREEDY | {"num_predict": limit})

    assert reply.eval_count == limit
    assert reply.done_reason == "length"
    assert reply.prompt_eval_count
    assert reply.eval_duration


def test_a_stop_string_and_the_text_after_it_are_never_sent(
    client: ollama.Client, model: str
) -> None:
    """With stop strings of several lengths, taken from the text itself."""
    whole = text_of(client, model)
    for length in (1, 2, 3, 5):
        stop = whole[10 : 10 + length]
        expected = whole[: whole.index(stop)]
        reply = client.chat(model, MESSAGES, options=GREEDY | {"stop": [stop]})
        assert reply.message.content == expected
        assert reply.done_reason == "stop"
        assert streamed_text_of(client, model, stop=[stop]) == expected


def test_a_seed_is_accepted(client: ollama.Client, model: str) -> None:
    """The engine has no seed for a single request, but clients send one."""
    assert text_of(client, model, seed=7) == text_of(client, model, seed=7)


def test_two_parallel_requests_get_their_own_text(client: ollama.Client, model: str) -> None:
    alone = streamed_text_of(client, model)
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.append(streamed_text_of(client, model)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert texts == [alone, alone]


def test_a_client_that_disconnects_stops_the_engine(proxy: RunningProxy, model: str) -> None:
    """Its long generation ends, and the next request is served."""
    body = {"model": model, "messages": MESSAGES, "options": {"num_predict": 4000}}
    with proxy.http.stream("POST", "/api/chat", json=body) as response:
        parts = response.iter_bytes()  # keep a reference: the stream is closed when it is garbage
        next(parts)

    assert eventually(
        lambda: (
            proxy.scrape().value("mistral_http_requests_total", endpoint="chat", status="cancelled")
            == 1
        )
    )
    short = body | {"options": {"num_predict": 1}, "stream": False}
    assert proxy.http.post("/api/chat", json=short).json()["eval_count"] == 1
    assert proxy.idle().value("mistral_active_requests") == 0


@pytest.mark.parametrize("streamed", [False, True])
def test_a_format_makes_the_text_json(client: ollama.Client, model: str, *, streamed: bool) -> None:
    asked = {"format": ONE_OR_TWO, "options": GREEDY}

    assert json.loads(chat_text(client, model, streamed=streamed, **asked))["a"] in (1, 2)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("think", [None, True, "high"])
def test_a_format_makes_the_content_json_with_a_model_that_thinks(
    thinking_client: ollama.Client, think: object, *, streamed: bool
) -> None:
    """With thinking on, the engine would treat the JSON as a thought."""
    asked = {"format": ONE_OR_TWO, "options": GREEDY, "think": think}

    text = chat_text(thinking_client, "thinker", streamed=streamed, **asked)

    assert json.loads(text)["a"] in (1, 2)


def test_a_grammar_can_begin_with_a_thought(thinking: RunningProxy) -> None:
    """As docs/ollama-api.md describes it; this model's thoughts only end where they must."""
    grammar = (
        "start: thought /\\n*/ answer\n"
        "thought[lazy]: /(?s:.{0,40})<\\/think>/\n"
        f"answer: %json {json.dumps(ONE_OR_TWO)}"
    )
    body = {"model": "thinker", "messages": MESSAGES, "max_tokens": 90}
    body |= {"enable_thinking": True, "grammar": {"type": "lark", "value": grammar}}
    reply = thinking.http.post("/v1/chat/completions", json=body).json()

    message = reply["choices"][0]["message"]
    assert message["reasoning_content"]
    assert json.loads(message["content"])["a"] in (1, 2)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_model_thinks_unless_the_request_forbids_it(
    thinking_client: ollama.Client, *, streamed: bool
) -> None:
    """A model with random weights never stops thinking, so its content is empty."""
    for think in (None, True, "high"):
        asked = {"think": think, "options": GREEDY}
        assert chat_text(thinking_client, "thinker", streamed=streamed, **asked) == ""
    assert chat_text(thinking_client, "thinker", streamed=streamed, think=False, options=GREEDY)


def test_a_template_that_leaves_the_last_turn_open_continues_it(tmp_path: Path) -> None:
    """As Ollama continues a last message of the assistant; the engine needs such a template."""
    folder = make_tiny_llama(tmp_path / "open")
    (folder / "chat_template.jinja").write_text(
        "{% for message in messages %}{{ '<turn>' + message['role'] + ': ' + message['content'] }}"
        "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}"
        "{% if messages[-1]['role'] != 'assistant' %}{{ '\\n<turn>assistant: ' }}{% endif %}",
        encoding="utf-8",
    )
    with (
        running_engine(folder) as url,
        RunningProxy(ProxySettings(engine_url=url)) as proxy,
        ollama.Client(host=proxy.url, trust_env=False) as client,
    ):
        whole = text_of(client, "open")
        begun = [*MESSAGES, {"role": "assistant", "content": whole[:15]}]
        rest = client.chat("open", begun, options=GREEDY | {"num_predict": 25})

    assert rest.message.content == whole[15:]


def test_a_text_that_ends_like_the_beginning_of_a_stop_string_is_complete(
    client: ollama.Client, model: str
) -> None:
    """The text that was held back is sent at the end."""
    schema = {"enum": ["a"]}
    asked: dict[str, Any] = {"format": schema, "options": GREEDY | {"stop": ['""']}}
    whole = client.chat(model, MESSAGES, **asked).message.content
    streamed = client.chat(model, MESSAGES, stream=True, **asked)

    assert whole == '"a"'
    assert "".join(part.message.content or "" for part in streamed) == whole


def test_a_prompt_that_is_too_long_is_cut_or_refused(
    proxy: RunningProxy, client: ollama.Client, model: str
) -> None:
    long = [{"role": "user", "content": "x" * (CONTEXT_LENGTH + 500)}]
    assert client.chat(model, long, options={"num_predict": 1}).done

    body = {"model": model, "messages": long, "truncate": False, "stream": False}
    response = proxy.http.post("/api/chat", json=body)
    assert response.status_code == 400
    assert response.json()["error"]


def test_tokens_in_the_metrics_are_the_sum_of_the_counts(
    proxy: RunningProxy, client: ollama.Client, model: str
) -> None:
    """For whole and streamed responses, with any number of events."""
    replies = [
        client.chat(model, MESSAGES, options=GREEDY),
        *(part for part in client.chat(model, MESSAGES, stream=True, options=GREEDY) if part.done),
        client.generate(model, "x", options=GREEDY),
    ]
    scrape = proxy.idle()
    engine_id = model.removesuffix(":latest")

    assert scrape.value("mistral_generate_tokens_total", model=engine_id) == sum(
        reply.eval_count or 0 for reply in replies
    )
    assert scrape.value("mistral_prompt_tokens_total", model=engine_id) == sum(
        reply.prompt_eval_count or 0 for reply in replies
    )


def test_a_model_that_was_unloaded_is_loaded_for_the_next_request(engine_url: str) -> None:
    """An engine that can't unload, such as the embedded one, keeps its model loaded."""
    with httpx.Client(base_url=engine_url, trust_env=False) as engine:
        can_unload = engine.post("/v1/models/status", json={"model_id": "?"}).status_code == 200
    settings = ProxySettings(engine_url=engine_url, model_unload=True)
    with (
        RunningProxy(settings) as proxy,
        ollama.Client(host=proxy.url, trust_env=False) as client,
    ):
        (listed,) = client.list().models
        model = listed.model or ""
        expected = text_of(client, model)
        for _ in range(2):
            client.chat(model, MESSAGES, keep_alive=0, options=GREEDY)
            assert eventually(lambda: bool(client.ps().models) is not can_unload)
            reply = client.chat(model, MESSAGES, options=GREEDY)
            assert reply.message.content == expected
            assert bool(reply.load_duration) is can_unload
            assert [running.name for running in client.ps().models] == [model]


def test_logprobs_are_the_same_whole_and_streamed(client: ollama.Client, model: str) -> None:
    """None is lost, even if parts of the text are beginnings of a stop string."""
    stop = text_of(client, model)[10] + "\N{SNOWMAN}"
    asked: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "options": GREEDY}
    asked["options"] = GREEDY | {"stop": [stop]}
    whole = client.chat(model, MESSAGES, **asked)
    streamed = list(client.chat(model, MESSAGES, stream=True, **asked))
    entries = [entry for part in streamed for entry in part.logprobs or []]

    assert "".join(entry.token for entry in entries) == whole.message.content
    assert entries == whole.logprobs
    assert all(len(entry.top_logprobs or []) == 2 for entry in entries)


def test_the_openai_endpoints_pass_through(proxy: RunningProxy, model: str) -> None:
    body = {"model": model, "messages": MESSAGES, "max_tokens": 5, "temperature": 0}
    whole = proxy.http.post("/v1/chat/completions", json=body).json()
    streamed = proxy.http.post("/v1/chat/completions", json=body | {"stream": True})

    assert whole["usage"]["completion_tokens"] == 5
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert (
        proxy.idle().value("mistral_generate_tokens_total", model=model.removesuffix(":latest"))
        == 10
    )


def test_messages_have_the_same_text_whole_and_streamed(proxy: RunningProxy, model: str) -> None:
    """The proxy translates them if the engine has no such endpoint."""
    body = {"model": model, "messages": MESSAGES, "max_tokens": 20, "temperature": 0}
    whole = proxy.http.post("/v1/messages", json=body).json()
    streamed = proxy.http.post("/v1/messages", json=body | {"stream": True}).text
    lines = [line for line in streamed.splitlines() if line.startswith("data: ")]
    values = [json.loads(line.removeprefix("data: ")) for line in lines]

    assert whole["stop_reason"] == "max_tokens"
    assert whole["usage"]["output_tokens"] == 20
    text = "".join(value["delta"].get("text", "") for value in values if "delta" in value)
    assert text == whole["content"][0]["text"] != ""
    assert values[-2]["usage"]["output_tokens"] == 20


def test_responses_have_the_same_text_whole_and_streamed(proxy: RunningProxy, model: str) -> None:
    """The proxy translates them if the engine has no such endpoint."""
    body = {"model": model, "input": "Tell me something.", "max_output_tokens": 20}
    body |= {"temperature": 0, "store": False}
    whole = proxy.http.post("/v1/responses", json=body).json()
    streamed = proxy.http.post("/v1/responses", json=body | {"stream": True}).text
    lines = [line for line in streamed.splitlines() if line.startswith("data: {")]
    values = [json.loads(line.removeprefix("data: ")) for line in lines]

    text = whole["output"][0]["content"][0]["text"]
    deltas = [v["delta"] for v in values if v["type"] == "response.output_text.delta"]
    assert "".join(deltas) == text != ""
    assert values[-1]["response"]["usage"]["output_tokens"] == 20


@pytest.mark.parametrize("streamed", [False, True])
def test_a_message_can_be_made_a_tool_call(thinking: RunningProxy, *, streamed: bool) -> None:
    """With the embedded engine, even if the model, whose weights are random, would write none."""
    schema = {"type": "object", "properties": {"city": {"enum": ["Rome"]}}, "required": ["city"]}
    body = {
        "model": "thinker",
        "messages": MESSAGES,
        "max_tokens": 100,
        "tools": [{"name": "weather", "input_schema": schema}],
        "tool_choice": {"type": "any"},
        "thinking": {"type": "adaptive"},
        "stream": streamed,
    }
    response = thinking.http.post("/v1/messages", json=body)

    if streamed:
        assert '"name":"weather"' in response.text
        assert r'"partial_json":"{\"city\":\"Rome\"}"' in response.text
        assert '"stop_reason":"tool_use"' in response.text
    else:
        (block,) = response.json()["content"]
        assert (block["type"], block["name"], block["input"]) == (
            "tool_use",
            "weather",
            {"city": "Rome"},
        )


def test_thoughts_are_blocks_of_a_message(thinking: RunningProxy) -> None:
    body = {"model": "thinker", "messages": MESSAGES, "max_tokens": 10, "temperature": 0}
    (thought,) = thinking.http.post("/v1/messages", json=body).json()["content"]
    off = body | {"thinking": {"type": "disabled"}}
    (text,) = thinking.http.post("/v1/messages", json=off).json()["content"]

    assert (thought["type"], text["type"]) == ("thinking", "text")


def test_an_unknown_model_is_a_404(client: ollama.Client) -> None:
    with pytest.raises(ollama.ResponseError, match="not found") as raised:
        client.chat("nope", MESSAGES)

    assert raised.value.status_code == 404


def test_embedding_with_a_text_model_is_a_client_error(client: ollama.Client, model: str) -> None:
    with pytest.raises(ollama.ResponseError) as raised:
        client.embed(model, "x")

    assert raised.value.status_code in (400, 501)
