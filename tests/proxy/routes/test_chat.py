"""`/api/chat`: what reaches the engine, and whole responses."""

import json
from dataclasses import replace

import pytest

from proxy_service.settings.model_details import ModelDetails
from proxy_service.settings.schema import ProxySettings
from tests.proxy.bodies import CHAT, COUNTS_AND_DURATIONS, USER
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    OTHER_MODEL,
    USAGE,
    ScriptedEngine,
    event,
    json_reply,
    stream,
)


def test_tool_results_are_paired_with_their_calls_by_order(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Some clients send results without an id and a name."""
    calls = [{"function": {"name": name, "arguments": {"n": name}}} for name in ("f", "g")]
    messages = [
        *USER,
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "F"},
        {"role": "tool", "content": "G"},
    ]
    proxy.http.post("/api/chat", json=CHAT | {"messages": messages, "tools": []})

    sent = engine.calls()[0].json
    assistant, *results = sent["messages"][1:]
    assert "tools" not in sent
    assert [json.loads(c["function"]["arguments"]) for c in assistant["tool_calls"]] == [
        {"n": "f"},
        {"n": "g"},
    ]
    assert {c["type"] for c in assistant["tool_calls"]} == {"function"}
    assert [r["tool_call_id"] for r in results] == [c["id"] for c in assistant["tool_calls"]]
    assert [r["content"] for r in results] == ["F", "G"]


def test_options_are_mapped_clamped_or_ignored(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """An option that Ollama accepts never makes a request fail."""
    options = {
        "num_predict": -1,
        "repeat_penalty": 1.1,
        "temperature": 0,
        "top_k": 0,
        "top_p": 0.5,
        "seed": 1,
        "num_ctx": 4096,
        "mirostat": 1,
        "tfs_z": 1.0,
        "made_up": 1,
        "stop": "one",
        "min_p": None,
    }
    assert proxy.http.post("/api/chat", json=CHAT | {"options": options}).status_code == 200
    proxy.http.post("/api/chat", json=CHAT | {"options": {"num_predict": 0}})
    proxy.http.post("/api/chat", json=CHAT | {"options": {"num_predict": 7}})

    first, second, third = (call.json for call in engine.calls())
    other_fields = {"model", "stream", "truncate_sequence", "messages"}
    assert {k: v for k, v in first.items() if k not in other_fields} == {
        "repetition_penalty": 1.1,
        "temperature": 0,
        "top_p": 0.5,
        "stop": ["one"],
    }
    assert "max_tokens" not in second
    assert third["max_tokens"] == 7


def test_an_option_of_the_wrong_type_is_an_error_with_ollamas_text(proxy: RunningProxy) -> None:
    response = proxy.http.post("/api/chat", json=CHAT | {"options": {"temperature": "hot"}})

    assert response.status_code == 500
    assert response.json() == {"error": 'option "temperature" must be of type float32'}


@pytest.mark.parametrize(
    ("think", "sent"),
    [
        (True, {"enable_thinking": True}),
        (False, {"enable_thinking": False}),
        ("high", {"reasoning_effort": "high"}),
        ("max", {"reasoning_effort": "xhigh"}),
        (None, {}),
    ],
)
def test_think_becomes_one_of_two_fields(
    engine: ScriptedEngine, proxy: RunningProxy, think: object, sent: dict[str, object]
) -> None:
    """Never both, because the engine refuses that."""
    proxy.http.post("/api/chat", json=CHAT | {"think": think})

    fields = engine.calls()[0].json
    assert {k: fields[k] for k in ("enable_thinking", "reasoning_effort") if k in fields} == sent


@pytest.mark.parametrize("think", [True, "high"])
def test_a_format_turns_thinking_off(
    engine: ScriptedEngine, proxy: RunningProxy, think: object
) -> None:
    """The engine applies the format to the thoughts, and the content would be empty."""
    proxy.http.post("/api/chat", json=CHAT | {"think": think, "format": "json"})

    fields = engine.calls()[0].json
    assert fields["enable_thinking"] is False
    assert "reasoning_effort" not in fields


def test_an_invalid_think_value_is_a_400_with_ollamas_text(proxy: RunningProxy) -> None:
    response = proxy.http.post("/api/chat", json=CHAT | {"think": "x"})

    assert response.status_code == 400
    assert response.json()["error"].startswith('invalid think value: "x"')


@pytest.mark.parametrize("streamed", [False, True])
def test_null_values_of_the_engine_are_left_out(
    engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool
) -> None:
    """A null message, null counts and null times: the client gets no null."""
    nothing = dict.fromkeys(USAGE)
    choice = {"index": 0, "finish_reason": "stop", "message": None, "delta": None, "logprobs": None}
    reply = {"choices": [choice], "usage": nothing}
    engine.chat(stream(event(reply), DONE) if streamed else json_reply(reply))
    response = proxy.http.post("/api/chat", json=CHAT | {"stream": streamed})
    (line,) = [json.loads(line) for line in response.content.splitlines()]

    assert line["message"] == {"role": "assistant", "content": ""}
    assert all(isinstance(line[name], int) for name in COUNTS_AND_DURATIONS)
    assert (line["done_reason"], line["eval_count"]) == ("stop", 0)


@pytest.mark.parametrize(
    "reply",
    [
        {"choices": [1]},
        {"choices": [{"message": "text"}]},
        {"choices": [{"message": {"content": "x", "tool_calls": 1}}]},
        {"choices": {}},
        {},
        [],
    ],
)
def test_a_whole_reply_of_an_unknown_shape_is_a_502(
    engine: ScriptedEngine, proxy: RunningProxy, reply: object
) -> None:
    engine.chat(json_reply(reply))

    response = proxy.http.post("/api/chat", json=CHAT)

    assert response.status_code == 502
    assert response.json()["error"]


def test_a_request_that_needs_an_undeclared_capability_is_refused(settings: ProxySettings) -> None:
    """With Ollama's own errors; a model for which the settings name no capabilities has all."""
    declared = {MODEL: ModelDetails(capabilities=("completion",))}
    declared[OTHER_MODEL] = ModelDetails(capabilities=("embedding",))
    described = {MODEL: ModelDetails(context_length=8192)}
    with RunningProxy(replace(settings, model_details=described)) as proxy:
        assert proxy.http.post("/api/chat", json=CHAT | {"think": True}).status_code == 200
    with RunningProxy(replace(settings, model_details=declared)) as proxy:
        think = proxy.http.post("/api/chat", json=CHAT | {"think": True})
        tools = proxy.http.post("/api/chat", json=CHAT | {"tools": [{"type": "function"}]})
        chat = proxy.http.post("/api/chat", json=CHAT | {"model": OTHER_MODEL})

    assert think.json() == {"error": f'"{MODEL}" does not support thinking'}
    assert tools.json() == {"error": f"{MODEL}:latest does not support tools"}
    assert chat.json() == {"error": f'"{OTHER_MODEL}" does not support chat'}
    assert {r.status_code for r in (think, tools, chat)} == {400}


def logprobs_entry(text: str) -> dict[str, object]:
    inner = [{"token": 17, "logprob": -0.5, "bytes": text}]
    return {"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": inner * 3}


def test_logprobs_have_ollamas_format(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """With the texts of tokens and their bytes, instead of the engine's numbers."""
    finish = {"finish_reason": "stop", "index": 0}
    message = {"role": "assistant", "content": "é"}
    whole = finish | {"message": message, "logprobs": {"content": [logprobs_entry("é")]}}
    engine.chat(json_reply({"choices": [whole], "usage": USAGE}))
    body = CHAT | {"logprobs": True, "top_logprobs": 2}
    entry = {"token": "é", "logprob": -0.5, "bytes": [0xC3, 0xA9]}
    expected = [entry | {"top_logprobs": [entry, entry]}]

    assert proxy.http.post("/api/chat", json=body).json()["logprobs"] == expected
    assert engine.calls()[0].json["top_logprobs"] == 2

    streamed = finish | {"delta": {"content": "é"}, "logprobs": logprobs_entry("é")}
    engine.chat(stream(event({"choices": [streamed], "usage": USAGE}), DONE))
    line = proxy.http.post("/api/chat", json=body | {"stream": True}).content.split(b"\n")[0]
    assert json.loads(line)["logprobs"] == expected

    too_many = proxy.http.post("/api/chat", json=body | {"top_logprobs": 21})
    assert too_many.json() == {"error": "top_logprobs must be between 0 and 20"}


@pytest.mark.parametrize("value", ["5m", 300, -1, "0", 0, "1h30m", "-1s", 1.5])
def test_keep_alive_is_seconds_or_a_duration(proxy: RunningProxy, value: object) -> None:
    assert proxy.http.post("/api/chat", json=CHAT | {"keep_alive": value}).status_code == 200


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", 'time: invalid duration "abc"'),
        ("10", 'time: missing unit in duration "10"'),
        (10**400, "json: cannot unmarshal number into Go value of type float64"),
    ],
)
def test_an_invalid_keep_alive_is_a_400_with_gos_text(
    proxy: RunningProxy, value: object, text: str
) -> None:
    response = proxy.http.post("/api/chat", json=CHAT | {"keep_alive": value})

    assert (response.status_code, response.json()) == (400, {"error": text})


def test_truncate_decides_what_happens_to_a_prompt_that_is_too_long(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """It is cut by default, and a 400 if the client forbids that."""
    proxy.http.post("/api/chat", json=CHAT)
    assert engine.calls()[0].json["truncate_sequence"] is True

    message = "Prompt sequence length is greater than 2048, perhaps consider truncating"
    engine.chat(json_reply({"message": message}, 422))
    response = proxy.http.post("/api/chat", json=CHAT | {"truncate": False})

    assert (response.status_code, response.json()) == (400, {"error": message})
    assert "truncate_sequence" not in engine.calls()[1].json


def test_an_unknown_option_is_logged_once(
    proxy: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its value, which may be private."""
    for _ in range(3):
        proxy.http.post("/api/chat", json=CHAT | {"options": {"made_up": "private"}})

    logged = [record for record in caplog.records if record.message == "unknown_option_ignored"]
    assert [record.__dict__["fields"] for record in logged] == [{"option": "made_up"}]
