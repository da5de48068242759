"""The wire, endpoint by endpoint: what any Ollama client may rely on."""

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from proxy_service.settings import ModelDetails, ProxySettings
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    OTHER_MODEL,
    USAGE,
    Received,
    Reply,
    ScriptedEngine,
    Step,
    chunk,
    completion,
    default_chat,
    default_embeddings,
    event,
    json_reply,
    stream,
)

USER = [{"role": "user", "content": "hi"}]
CHAT = {"model": MODEL, "messages": USER, "stream": False}
GENERATE = {"model": MODEL, "prompt": "hi", "stream": False}
METRICS_OF_A_REPLY = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)
POSTS = ("chat", "generate", "show", "embed", "embeddings", "pull", "push", "create", "copy")
PNG = "iVBORw0KGgo="


def test_root_tells_that_ollama_runs(proxy: RunningProxy) -> None:
    answer = proxy.http.get("/")
    head = proxy.http.head("/")

    assert (answer.status_code, answer.text) == (200, "Ollama is running")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (head.status_code, head.content) == (200, b"")


def test_version_is_three_numbers_that_clients_accept(proxy: RunningProxy) -> None:
    """At least 0.6.4, digits only."""
    version = proxy.http.get("/api/version").json()["version"]

    assert tuple(int(part) for part in version.split(".")) >= (0, 6, 4)


def test_tags_list_what_the_engine_serves(proxy: RunningProxy) -> None:
    """No "default", names with a tag, every field of its type."""
    models = proxy.http.get("/api/tags").json()["models"]

    assert [model["name"] for model in models] == [f"{MODEL}:latest", f"{OTHER_MODEL}:latest"]
    for model in models:
        assert model["name"] == model["model"]
        assert re.fullmatch("[0-9a-f]{64}", model["digest"])
        assert datetime.fromisoformat(model["modified_at"]).tzinfo is not None
        assert isinstance(model["size"], int)
        assert isinstance(model["details"], dict)


@pytest.mark.parametrize(
    "name",
    [
        *(MODEL, f"{MODEL}:latest", MODEL.upper(), f"{MODEL}:local", "nickname"),
        *("library/nickname", "registry.ollama.ai/library/Nickname:latest"),
        f"https://registry.ollama.ai/{MODEL}",
    ],
)
def test_every_name_of_a_model_reaches_it(
    engine: ScriptedEngine, settings: ProxySettings, name: str
) -> None:
    """Tag, case, defaults and alias; the reply echoes what was asked for."""
    with RunningProxy(replace(settings, model_aliases={"nickname": MODEL})) as proxy:
        chat = proxy.http.post("/api/chat", json=CHAT | {"model": name})
        generate = proxy.http.post("/api/generate", json=GENERATE | {"model": name})
        embed = proxy.http.post("/api/embed", json={"model": name, "input": "x"})
        show = proxy.http.post("/api/show", json={"model": name})

    assert [a.json()["model"] for a in (chat, generate, embed)] == [name] * 3
    assert show.status_code == 200
    asked = engine.calls() + engine.calls("/v1/embeddings")
    assert [call.json["model"] for call in asked] == [MODEL] * 3


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_a_whole_reply_is_one_json_object(proxy: RunningProxy, path: str) -> None:
    answer = proxy.http.post(f"/api/{path}", json=CHAT if path == "chat" else GENERATE)
    reply = answer.json()

    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert reply["done"] is True
    assert reply["done_reason"] == "stop"
    assert all(isinstance(reply[name], int) for name in METRICS_OF_A_REPLY)


def test_a_history_with_tools_is_paired_by_order(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Clients send results with neither id nor name."""
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


@pytest.mark.parametrize("unload", [False, True])
@pytest.mark.parametrize("path", ["chat", "generate"])
def test_a_request_without_a_prompt_loads_or_unloads(
    engine: ScriptedEngine, settings: ProxySettings, path: str, *, unload: bool
) -> None:
    """One JSON object even when streaming, and no generation."""
    body: dict[str, object] = {"model": MODEL} | ({"messages": []} if path == "chat" else {})
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        answer = proxy.http.post(f"/api/{path}", json=body | ({"keep_alive": 0} if unload else {}))

    reply = answer.json()
    assert answer.headers["content-type"].startswith("application/json")
    assert reply["done"] is True
    assert reply["done_reason"] == ("unload" if unload else "load")
    assert "message" in reply if path == "chat" else reply["response"] == ""
    assert len(engine.calls("/v1/models/unload")) == unload
    assert engine.calls() == []


def test_unloading_is_left_alone_unless_the_settings_allow_it(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Other clients share the engine: by default nobody takes a model away from them."""
    answer = proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})

    assert answer.json()["done_reason"] == "unload"
    assert engine.calls("/v1/models/unload") == []


def test_an_engine_that_can_not_unload_is_told_as_such(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Not every engine has the endpoint; the model stays, and serves."""
    engine.on("/v1/models/unload", Reply((b"",), status=404, length=True))
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        answer = proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
        again = proxy.http.post("/api/chat", json=CHAT)

    assert answer.status_code == 501
    assert answer.json() == {"error": "the engine behind this server has no /v1/models/unload"}
    assert again.json()["load_duration"] == 0


def test_a_model_unloaded_after_a_reply_is_loaded_for_the_next(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """The engine never gets a request for a model that it has unloaded."""
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        proxy.http.post("/api/chat", json=CHAT | {"keep_alive": 0})
        assert eventually(lambda: engine.status_of[MODEL] == "unloaded")
        assert proxy.http.get("/api/ps").json()["models"][0]["name"] == f"{OTHER_MODEL}:latest"
        reply = proxy.http.post("/api/chat", json=CHAT).json()

    assert reply["load_duration"] > 0
    assert reply["message"]["content"] == "Hello world"


@pytest.mark.parametrize("text", ["x", ""])
@pytest.mark.parametrize(("path", "field"), [("embed", "input"), ("embeddings", "prompt")])
def test_embedding_unloads_with_a_keep_alive_of_0(
    engine: ScriptedEngine, settings: ProxySettings, path: str, field: str, text: str
) -> None:
    """As chat and generate do; with nothing to embed as well."""
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        body = {"model": MODEL, field: text, "keep_alive": 0}
        assert proxy.http.post(f"/api/{path}", json=body).status_code == 200
        assert eventually(lambda: engine.status_of[MODEL] == "unloaded")


def test_an_unload_that_hangs_holds_nobody_up_for_long(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """No probe may cross it, so that everyone who asks for models waits."""
    engine.on("/v1/models/unload", stream(Step.STALL))
    impatient = replace(settings, model_unload=True, engine_probe_timeout_seconds=0.3)
    with RunningProxy(impatient) as proxy:
        answer = proxy.http.post("/api/generate", json={"model": MODEL, "keep_alive": 0})
        assert proxy.http.get("/api/tags").status_code == 200

    assert answer.status_code == 504
    assert "ENGINE_PROBE_TIMEOUT" in answer.json()["error"]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_unload_that_fails_takes_no_reply_away(
    engine: ScriptedEngine, settings: ProxySettings, *, streamed: bool
) -> None:
    """The reply was complete before; that the model stayed is for the log."""
    engine.on("/v1/models/unload", json_reply({"message": "busy"}, 500))
    with RunningProxy(replace(settings, model_unload=True)) as proxy:
        answer = proxy.http.post("/api/chat", json=CHAT | {"keep_alive": 0, "stream": streamed})
        assert eventually(lambda: len(engine.calls("/v1/models/unload")) == 1)
        again = proxy.http.post("/api/chat", json=CHAT)

    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert answer.status_code == 200
    assert "".join(line["message"]["content"] for line in lines) == "Hello world"
    assert again.json()["message"]["content"] == "Hello world"


@pytest.mark.parametrize(
    "path",
    [
        *("/api/chat", "/api/generate", "/api/embed", "/api/embeddings"),
        *("/v1/chat/completions", "/v1/embeddings"),
    ],
)
def test_a_refusal_right_after_a_load_is_tried_once_more(
    engine: ScriptedEngine, proxy: RunningProxy, path: str
) -> None:
    """The engine was seen to be "poisoned" for one request after a reload."""
    asked = "/v1/embeddings" if "embed" in path else "/v1/chat/completions"
    answers = {"/v1/embeddings": default_embeddings, "/v1/chat/completions": default_chat}
    poisoned = json_reply({"message": "EnginePoisoned"}, 500)

    def refuse_first(request: Received) -> Reply:
        return poisoned if len(engine.calls(asked)) == 1 else answers[asked](request)

    engine.on(asked, refuse_first)
    engine.status_of[MODEL] = "unloaded"
    proxy.probe()

    body = CHAT | {"prompt": "x", "input": "x"}
    assert proxy.http.post(path, json=body).status_code == 200
    engine.on(asked, poisoned)
    assert proxy.http.post(path, json=body).status_code == 503
    assert len(engine.calls(asked)) == 3


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("chat", "model 'nope' not found"),
        ("generate", "model 'nope' not found"),
        ("show", "model 'nope:latest' not found"),
        ("embed", 'model "nope" not found, try pulling it first'),
        ("embeddings", 'model "nope" not found, try pulling it first'),
    ],
)
def test_an_unknown_model_is_a_404_in_ollamas_words(
    proxy: RunningProxy, path: str, text: str
) -> None:
    """Clients match on these texts."""
    body = CHAT | {"prompt": "x", "input": "x", "model": "nope"}
    answer = proxy.http.post(f"/api/{path}", json=body)

    assert (answer.status_code, answer.json()) == (404, {"error": text})


def test_an_unknown_model_is_openais_404_on_v1(proxy: RunningProxy) -> None:
    answer = proxy.http.post("/v1/chat/completions", json=CHAT | {"model": "nope"})

    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("chat", 400, "model is required"),
        ("generate", 404, "model '' not found"),
        ("show", 400, "model is required"),
        ("embed", 404, "model '' not found"),
        ("embeddings", 400, "model is required"),
        ("pull", 400, "invalid model name"),
        ("push", 400, "model is required"),
    ],
)
def test_a_missing_model_is_told_in_ollamas_words(
    proxy: RunningProxy, path: str, status: int, text: str
) -> None:
    answer = proxy.http.post(f"/api/{path}", json={})

    assert (answer.status_code, answer.json()) == (status, {"error": text})


@pytest.mark.parametrize("name", ["a b", "a/b/c/d", "-a", "a:", "a//b", "x" * 81, "n\u00e9"])
def test_a_malformed_name_is_a_400_in_ollamas_words(proxy: RunningProxy, name: str) -> None:
    body = CHAT | {"prompt": "x", "input": "x", "model": name}
    answers = {
        path: proxy.http.post(f"/api/{path}", json=body)
        for path in ("chat", "generate", "show", "embed", "embeddings", "pull")
    }
    deleted = proxy.http.request("DELETE", "/api/delete", json=body)
    copied = proxy.http.post("/api/copy", json={"source": MODEL, "destination": name})

    for answer in answers.values():
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid model name"})
    assert (deleted.status_code, deleted.json()) == (400, {"error": f'name "{name}" is invalid'})
    assert copied.json() == {"error": f'destination "{name}" is invalid'}
    assert copied.status_code == 400


def test_a_listed_name_is_never_malformed(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """The engine may call a model what Ollama would not."""
    engine.status_of["a model of mine"] = "loaded"
    proxy.probe()

    assert proxy.http.post("/api/chat", json=CHAT | {"model": "A model of mine"}).status_code == 200


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "missing request body"),
        (b"{", "unexpected EOF"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b"[1]", "json: cannot unmarshal array into Go value of type api."),
        (b'{"model":5}', "json: cannot unmarshal number into Go struct field"),
        (b'{"model":NaN}', "invalid character 'N' looking for beginning of value"),
        (b"[" * 100_000, "nested too deeply"),
    ],
    ids=["empty", "cut", "text", "array", "number", "NaN", "deep"],
)
def test_a_bad_body_is_a_400_in_ollamas_words(
    proxy: RunningProxy, path: str, body: bytes, text: str
) -> None:
    """JSON errors, never a page of the framework's."""
    if path == "copy":
        body = body.replace(b"model", b"source")
    answer = proxy.http.post(f"/api/{path}", content=body)

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/json")
    assert text in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/show", 200),
        ("POST", "/api/pull", 200),
        ("POST", "/api/push", 501),
        ("POST", "/api/create", 501),
        ("DELETE", "/api/delete", 501),
    ],
)
def test_the_model_may_be_called_name(
    proxy: RunningProxy, method: str, path: str, status: int
) -> None:
    """As ollama-js and older clients do; `model` wins."""
    for body in ({"name": MODEL}, {"name": "nope", "model": MODEL}):
        assert proxy.http.request(method, path, json=body).status_code == status


@pytest.mark.parametrize("body", [b"", b"{"])
def test_a_bad_body_of_a_delete_is_a_400(proxy: RunningProxy, body: bytes) -> None:
    answer = proxy.http.request("DELETE", "/api/delete", content=body)

    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_any_content_type_will_do(proxy: RunningProxy) -> None:
    """`curl -d` says it sends a form."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = json.dumps(CHAT | {"prompt": "x", "input": "x"}).encode()
    codes = {
        path: proxy.http.post(f"/api/{path}", content=body, headers=form).status_code
        for path in ("chat", "generate", "show", "embed", "embeddings", "pull")
    }
    deleted = proxy.http.request("DELETE", "/api/delete", content=body, headers=form)

    assert set(codes.values()) == {200}
    assert "this server can't" in deleted.json()["error"]


def test_keys_match_whatever_their_case(proxy: RunningProxy) -> None:
    """As Go's decoder does."""
    body = {"Model": MODEL, "MESSAGES": [{"Role": "USER", "Content": "hi"}], "Stream": False}

    assert proxy.http.post("/api/chat", json=body).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ("json", {"type": "object"}),
        ({"type": "array"}, {"type": "array"}),
        ("", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("path", ["chat", "generate"])
def test_format_becomes_a_response_format(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, wanted: object, schema: object
) -> None:
    """A format switches thinking off."""
    body = (CHAT if path == "chat" else GENERATE) | {"format": wanted}
    proxy.http.post(f"/api/{path}", json=body)

    sent = engine.calls()[0].json
    if schema is None:
        assert "response_format" not in sent
        assert "enable_thinking" not in sent
    else:
        named = {"name": "response", "schema": schema}
        assert sent["response_format"] == {"type": "json_schema", "json_schema": named}
        assert sent["enable_thinking"] is False


def test_options_are_mapped_bounded_or_ignored(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """No option makes a request fail that Ollama would answer."""
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
    always = {"model", "stream", "truncate_sequence", "messages"}
    assert {k: v for k, v in first.items() if k not in always} == {
        "repetition_penalty": 1.1,
        "temperature": 0,
        "top_p": 0.5,
        "stop": ["one"],
    }
    assert "max_tokens" not in second
    assert third["max_tokens"] == 7


@pytest.mark.parametrize("body", [CHAT, GENERATE, GENERATE | {"raw": True}])
def test_sampling_that_is_not_set_is_ollamas(
    engine: ScriptedEngine, proxy: RunningProxy, body: dict[str, object]
) -> None:
    """Each default on its own; an option that switches a filter off stays in force."""
    path = "chat" if "messages" in body else "generate"
    for options in ({}, {"temperature": 0.1}, {"top_k": 0, "top_p": None}):
        proxy.http.post(f"/api/{path}", json=body | {"options": options})

    names = ("temperature", "top_k", "top_p")
    calls = engine.calls("/v1/completions") if body.get("raw") else engine.calls()
    assert [[call.json.get(name) for name in names] for call in calls] == [
        [0.8, 40, 0.9],
        [0.1, 40, 0.9],
        [0.8, None, 0.9],
    ]


def test_sampling_on_v1_is_the_clients_and_the_models(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    proxy.http.post("/v1/chat/completions", json=CHAT | {"model": MODEL.lower()})

    assert engine.calls()[0].json == CHAT


def test_an_option_of_the_wrong_type_is_told_in_ollamas_words(proxy: RunningProxy) -> None:
    answer = proxy.http.post("/api/chat", json=CHAT | {"options": {"temperature": "hot"}})

    assert answer.status_code == 500
    assert answer.json() == {"error": 'option "temperature" must be of type float32'}


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_images_become_data_urls_beside_the_text(
    engine: ScriptedEngine, proxy: RunningProxy, path: str
) -> None:
    body = GENERATE | {"images": [PNG]}
    if path == "chat":
        body = CHAT | {"messages": [USER[0] | {"images": [PNG]}]}
    proxy.http.post(f"/api/{path}", json=body)

    assert engine.calls()[0].json["messages"][0]["content"] == [
        {"type": "text", "text": "hi"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
    ]


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
    """Never both, which the engine refuses."""
    proxy.http.post("/api/chat", json=CHAT | {"think": think})

    fields = engine.calls()[0].json
    assert {k: fields[k] for k in ("enable_thinking", "reasoning_effort") if k in fields} == sent


@pytest.mark.parametrize("think", [True, "high"])
def test_a_format_goes_before_thinking(
    engine: ScriptedEngine, proxy: RunningProxy, think: object
) -> None:
    """The engine binds the thought by it, and the content would be empty."""
    proxy.http.post("/api/chat", json=CHAT | {"think": think, "format": "json"})

    fields = engine.calls()[0].json
    assert fields["enable_thinking"] is False
    assert "reasoning_effort" not in fields


def test_a_bad_think_value_is_told_in_ollamas_words(proxy: RunningProxy) -> None:
    answer = proxy.http.post("/api/chat", json=CHAT | {"think": "x"})

    assert answer.status_code == 400
    assert answer.json()["error"].startswith('invalid think value: "x"')


def test_thinking_of_a_whole_reply_stands_beside_its_content(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(completion("answer", reasoning_content="because"))

    chat = proxy.http.post("/api/chat", json=CHAT).json()
    generate = proxy.http.post("/api/generate", json=GENERATE).json()

    assert chat["message"] == {"role": "assistant", "content": "answer", "thinking": "because"}
    assert (generate["response"], generate["thinking"]) == ("answer", "because")


@pytest.mark.parametrize("path", ["chat", "generate"])
def test_a_whole_reply_that_tells_an_error_is_one(
    engine: ScriptedEngine, proxy: RunningProxy, path: str
) -> None:
    """Although its status is 200, and a part of the text is there."""
    engine.chat(completion("Hel", finish="error"))
    answer = proxy.http.post(f"/api/{path}", json=CHAT if path == "chat" else GENERATE)

    assert answer.status_code == 500
    assert answer.json() == {"error": "the engine failed while it was writing"}


@pytest.mark.parametrize("streamed", [False, True])
def test_what_the_engine_leaves_null_is_absent(
    engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool
) -> None:
    """A message, its counts, its times: no client gets a null, and nothing breaks."""
    nothing = dict.fromkeys(USAGE)
    choice = {"index": 0, "finish_reason": "stop", "message": None, "delta": None, "logprobs": None}
    reply = {"choices": [choice], "usage": nothing}
    engine.chat(stream(event(reply), DONE) if streamed else json_reply(reply))
    answer = proxy.http.post("/api/chat", json=CHAT | {"stream": streamed})
    (line,) = [json.loads(line) for line in answer.content.splitlines()]

    assert line["message"] == {"role": "assistant", "content": ""}
    assert all(isinstance(line[name], int) for name in METRICS_OF_A_REPLY)
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
def test_a_whole_reply_of_no_known_shape_is_a_502(
    engine: ScriptedEngine, proxy: RunningProxy, reply: object
) -> None:
    """The engine's fault, and told as such."""
    engine.chat(json_reply(reply))

    answer = proxy.http.post("/api/chat", json=CHAT)

    assert answer.status_code == 502
    assert answer.json()["error"]


@pytest.mark.parametrize("key", ["model", "name"])
def test_show_tells_what_the_settings_know(settings: ProxySettings, key: str) -> None:
    """By model or by name; model_info is never null."""
    details = ModelDetails(family="llama", context_length=8192, template="{{ .Prompt }} tools")
    with RunningProxy(replace(settings, model_details={MODEL: details})) as proxy:
        shown = proxy.http.post("/api/show", json={key: MODEL}).json()

    assert shown["model_info"]["general.architecture"] == "llama"
    assert shown["model_info"]["llama.context_length"] == 8192
    assert shown["parameters"].split() == ["num_ctx", "8192"]
    assert "completion" in shown["capabilities"]
    assert shown["details"]["family"] == "llama"
    assert shown["template"] == "{{ .Prompt }} tools"


def test_a_context_length_that_the_engine_tells_is_shown(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Unless the settings tell another: the engine may have been started with less memory."""
    listed = [{"id": MODEL, "max_model_len": 4096}, {"id": OTHER_MODEL, "max_model_len": 4096}]
    engine.on("/v1/models", json_reply({"data": listed}))
    details = {OTHER_MODEL: ModelDetails(context_length=2048)}
    with RunningProxy(replace(settings, model_details=details)) as proxy:
        for name, length in ((MODEL, 4096), (OTHER_MODEL, 2048)):
            shown = proxy.http.post("/api/show", json={"model": name}).json()
            assert shown["model_info"]["unknown.context_length"] == length
        running = proxy.http.get("/api/ps").json()["models"]

    assert [process["context_length"] for process in running] == [4096, 2048]


def test_show_claims_no_length_that_it_does_not_know(proxy: RunningProxy) -> None:
    """Clients would take a 0 at its word; without the key they use a default of their own."""
    shown = proxy.http.post("/api/show", json={"model": MODEL}).json()

    assert shown["model_info"]["general.architecture"]
    assert [key for key in shown["model_info"] if key.endswith("_length")] == []
    assert shown["parameters"] == ""
    assert "completion" in shown["capabilities"]


def test_a_model_is_held_to_what_the_settings_declare(settings: ProxySettings) -> None:
    """Ollama's own errors for what a model can't do; capabilities not named are no lack."""
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
    assert {a.status_code for a in (think, tools, chat)} == {400}


def test_ps_lists_only_what_is_loaded(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    engine.status_of[OTHER_MODEL] = "unloaded"
    (process,) = proxy.http.get("/api/ps").json()["models"]

    assert process["name"] == f"{MODEL}:latest"
    assert datetime.fromisoformat(process["expires_at"]).year == 2318
    assert isinstance(process["size_vram"], int)
    assert isinstance(process["context_length"], int)


def test_embed_shortens_and_normalises_here(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """The engine refuses `dimensions`."""
    reply = proxy.http.post("/api/embed", json={"model": MODEL, "input": "x", "dimensions": 8})

    (vector,) = reply.json()["embeddings"]
    assert len(vector) == 8
    assert sum(x * x for x in vector) == pytest.approx(1)
    assert "dimensions" not in engine.calls("/v1/embeddings")[0].json


@pytest.mark.parametrize(
    ("path", "body", "reply"),
    [
        ("embed", {"input": ""}, {"model": MODEL, "embeddings": []}),
        ("embed", {"input": []}, {"model": MODEL, "embeddings": []}),
        ("embed", {}, {"model": MODEL, "embeddings": []}),
        ("embeddings", {"prompt": ""}, {"embedding": []}),
    ],
)
def test_nothing_to_embed_needs_no_engine(
    engine: ScriptedEngine,
    proxy: RunningProxy,
    path: str,
    body: dict[str, object],
    reply: dict[str, object],
) -> None:
    assert proxy.http.post(f"/api/{path}", json={"model": MODEL} | body).json() == reply
    assert engine.calls("/v1/embeddings") == []


def test_the_older_endpoint_gives_the_vector_as_it_is(proxy: RunningProxy) -> None:
    """A flat list, not normalised."""
    reply = proxy.http.post("/api/embeddings", json={"model": MODEL, "prompt": "x"}).json()

    assert reply == {"embedding": [1.0, 2.0] * 8}


@pytest.mark.parametrize(("path", "field"), [("embed", "input"), ("embeddings", "prompt")])
def test_a_vector_of_no_numbers_is_a_502(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, field: str
) -> None:
    """NaN is no JSON: no client could read the answer."""
    broken = b'{"data":[{"index":0,"embedding":[1.0,NaN]}]}'
    engine.on("/v1/embeddings", Reply((broken,), length=True))
    answer = proxy.http.post(f"/api/{path}", json={"model": MODEL, field: "x"})

    assert answer.status_code == 502
    assert "NaN" in answer.json()["error"]


def test_embed_refuses_other_types(proxy: RunningProxy) -> None:
    answer = proxy.http.post("/api/embed", json={"model": MODEL, "input": [1]})

    assert (answer.status_code, answer.json()) == (400, {"error": "invalid input type"})


def test_parallel_streams_do_not_wait_for_each_other(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Each gets its first line while both are unfinished."""
    go_on = threading.Event()
    engine.chat(stream(chunk("a"), go_on, chunk("b", finish="stop", usage=USAGE), DONE))
    body = CHAT | {"stream": True}
    with (
        proxy.http.stream("POST", "/api/chat", json=body) as one,
        proxy.http.stream("POST", "/api/chat", json=body) as two,
    ):
        first, second = one.iter_bytes(), two.iter_bytes()
        assert b'"content":"a"' in next(first)
        assert b'"content":"a"' in next(second)
        go_on.set()
        assert b'"done":true' in b"".join(first)
        assert b'"done":true' in b"".join(second)


@pytest.mark.parametrize(
    ("streamed", "begun"), [(True, True), (True, False), (False, False)], ids=str
)
def test_a_long_silence_of_the_engine_cuts_no_reply(
    engine: ScriptedEngine,
    settings: ProxySettings,
    *,
    streamed: bool,
    begun: bool,
) -> None:
    """Neither before the first byte nor in a stream; the framework waits 60 seconds."""
    go_on = threading.Event()

    def stall(_: object) -> Reply:
        if not streamed:
            whole = default_chat(Received("POST", "", {}, b"{}")).steps
            return Reply((go_on, *whole))
        last = chunk("b", finish="stop", usage=USAGE)
        return stream(chunk("a"), go_on, last, DONE) if begun else stream(go_on, last, DONE)

    engine.chat(stall)
    limits = {"engine_silence_timeout_seconds": 600, "engine_reply_timeout_seconds": 600}
    with (
        RunningProxy(replace(settings, **limits)) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        asking = pool.submit(proxy.http.post, "/api/chat", json=CHAT | {"stream": streamed})
        assert eventually(lambda: any(call.silent.is_set() for call in engine.calls()))
        proxy.put_forward(599)
        go_on.set()
        answer = asking.result()

    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert answer.status_code == 200
    assert lines[-1]["done"] is True


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/create"),
        ("POST", "/api/push"),
        ("POST", "/api/copy"),
        ("DELETE", "/api/delete"),
        ("POST", f"/api/blobs/sha256:{'0' * 64}"),
        ("POST", "/v1/audio/transcriptions"),
    ],
)
def test_what_a_proxy_can_not_do_is_an_honest_error(
    proxy: RunningProxy, method: str, path: str
) -> None:
    body = {"model": MODEL, "source": MODEL, "destination": "x"}
    answer = proxy.http.request(method, path, json=body)

    assert answer.status_code == 501
    assert "this server can't" in json.dumps(answer.json())
    assert proxy.http.head(f"/api/blobs/sha256:{'0' * 64}").status_code == 404


def test_ollamas_cloud_is_not_here(proxy: RunningProxy) -> None:
    """What belongs to accounts and services of Ollama's maker is told as absent."""
    assert proxy.http.get("/api/status").json()["cloud"]["disabled"] is True
    assert proxy.http.post("/api/me").status_code == 401
    assert proxy.http.post("/api/experimental/web_search", json={}).status_code == 501
    recommended = proxy.http.get("/api/experimental/model-recommendations").json()
    assert recommended == {"recommendations": []}


def test_local_pages_may_call_and_foreign_ones_may_not(settings: ProxySettings) -> None:
    """CORS as Ollama has it, with the same variable for more origins."""
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    with RunningProxy(replace(settings, origins=("https://*.good.example",))) as proxy:
        for origin in ("http://localhost:3000", "app://x", "https://a.good.example"):
            answer = proxy.http.options("/api/chat", headers=preflight | {"Origin": origin})
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == origin
            allowed = answer.headers["access-control-allow-headers"].lower()
            assert "authorization" in allowed
            assert "x-stainless-os" in allowed
            got = proxy.http.get("/api/tags", headers={"Origin": origin})
            assert got.headers["access-control-allow-origin"] == origin
        for origin in (
            "https://evil.example",
            "http://localhost.evil.example",
            "http://localhost:x.evil.example",
            "http://localhost:1.evil.example",
            "http://box.local",
        ):
            refused = proxy.http.post("/api/chat", json=CHAT, headers={"Origin": origin})
            assert (refused.status_code, refused.content) == (403, b"")


@pytest.mark.parametrize("origin", ["http://box.local:8443", "https://Box.local:8443"])
def test_a_page_may_call_the_host_that_it_came_from(proxy: RunningProxy, origin: str) -> None:
    """As behind a reverse proxy that serves a web interface beside the API."""
    headers = {"Origin": origin, "Host": "box.local:8443"}
    answer = proxy.http.post("/api/chat", json=CHAT, headers=headers)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin


def test_a_refused_page_is_counted_as_the_clients_error(proxy: RunningProxy) -> None:
    proxy.http.post("/api/chat", json=CHAT, headers={"Origin": "https://evil.example"})

    assert (
        proxy.idle().value(
            "mistral_http_requests_total", endpoint="unmatched", status="client_error"
        )
        == 1
    )


def test_the_engines_own_cors_headers_do_not_pass(proxy: RunningProxy) -> None:
    answer = proxy.http.get("/v1/models")

    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:11434", 200),
        ("127.0.0.1", 200),
        ("box.local", 200),
        ("host.docker.internal:11434", 200),
        ("192.168.1.7", 200),
        ("[::1]:11434", 200),
        ("evil.example", 403),
        ("8.8.8.8", 403),
    ],
)
def test_a_foreign_host_name_is_refused_on_loopback(
    proxy: RunningProxy, host: str, status: int
) -> None:
    """The guard against DNS rebinding."""
    assert proxy.http.get("/api/version", headers={"Host": host}).status_code == status


def test_a_page_whose_own_name_leads_here_may_not_read_its_refusal(proxy: RunningProxy) -> None:
    """Its origin is that of the Host which it asked for, and both are foreign."""
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    answer = proxy.http.get("/api/version", headers=headers)

    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def logprobs_entry(text: str) -> dict[str, object]:
    inner = [{"token": 17, "logprob": -0.5, "bytes": text}]
    return {"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": inner * 3}


def test_logprobs_take_ollamas_shape(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Token texts and their bytes, never the engine's numbers."""
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


@pytest.mark.parametrize("streamed", [False, True])
def test_raw_goes_to_completions_without_a_template(
    engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool
) -> None:
    """Exact counts in either form, no context."""
    body = GENERATE | {"raw": True, "stream": streamed}
    answer = proxy.http.post("/api/generate", json=body)
    lines = [json.loads(line) for line in answer.content.splitlines()]

    assert engine.calls() == []
    assert engine.calls("/v1/completions")[0].json["prompt"] == "hi"
    assert "".join(line["response"] for line in lines) == "raw text"
    assert lines[-1]["eval_count"] == 18
    assert "context" not in lines[-1]
    assert [line["done"] for line in lines] == ([False, True] if streamed else [True])


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        *(
            ({"raw": True} | more, "raw mode does not support template, system, or context")
            for more in ({"system": "x"}, {"template": "x"}, {"context": [1]})
        ),
        ({"raw": True, "suffix": "x"}, f"{MODEL} does not support insert"),
        ({"suffix": "x"}, f"{MODEL} does not support insert"),
        ({"template": "x"}, f"{MODEL} does not support a template per request"),
    ],
)
def test_what_generate_can_not_do_is_a_400(
    proxy: RunningProxy, fields: dict[str, object], text: str
) -> None:
    answer = proxy.http.post("/api/generate", json=GENERATE | fields)

    assert (answer.status_code, answer.json()) == (400, {"error": text})


def test_context_is_a_list_and_a_foreign_one_is_ignored(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    reply = proxy.http.post("/api/generate", json=GENERATE | {"context": [1, 2, 3]}).json()

    assert all(isinstance(number, int) for number in reply["context"])
    assert [m["content"] for m in engine.calls()[0].json["messages"]] == ["hi"]


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
def test_a_bad_keep_alive_is_told_in_gos_words(
    proxy: RunningProxy, value: object, text: str
) -> None:
    answer = proxy.http.post("/api/chat", json=CHAT | {"keep_alive": value})

    assert (answer.status_code, answer.json()) == (400, {"error": text})


def test_truncate_decides_about_prompts_that_are_too_long(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Cut by default, a 400 when the client forbids it."""
    proxy.http.post("/api/chat", json=CHAT)
    assert engine.calls()[0].json["truncate_sequence"] is True

    message = "Prompt sequence length is greater than 2048, perhaps consider truncating"
    engine.chat(json_reply({"message": message}, 422))
    answer = proxy.http.post("/api/chat", json=CHAT | {"truncate": False})

    assert (answer.status_code, answer.json()) == (400, {"error": message})
    assert "truncate_sequence" not in engine.calls()[1].json


def test_without_its_engine_the_proxy_says_so_and_recovers(settings: ProxySettings) -> None:
    """Quick errors, `/` and version still there, no restart needed."""
    with ScriptedEngine() as first:
        port = first.port
        with RunningProxy(replace(settings, engine_url=first.url)) as proxy:
            proxy.probe()
            first.stop()
            for path in ("/api/tags", "/api/ps", "/readyz"):
                assert proxy.http.get(path).status_code == 503
            assert proxy.http.post("/api/chat", json=CHAT).status_code == 503
            assert proxy.http.get("/").status_code == 200
            assert proxy.http.get("/api/version").status_code == 200
            assert proxy.http.get("/livez").status_code == 200
            with ScriptedEngine(port):
                assert proxy.http.post("/api/chat", json=CHAT).status_code == 200
                proxy.probe()
                assert proxy.http.get("/readyz").status_code == 200


def test_an_engine_that_hangs_is_asked_once_for_all_who_wait(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Those who came while one was waiting share its failure; nobody queues behind it."""
    engine.on("/v1/models", stream(Step.STALL))
    codes: list[int] = []
    with RunningProxy(replace(settings, engine_probe_timeout_seconds=0.5)) as proxy:
        threads = [
            threading.Thread(target=lambda: codes.append(proxy.http.get("/api/tags").status_code))
            for _ in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert codes == [504] * 20
    assert len(engine.calls("/v1/models")) < 5


def test_the_engines_own_list_is_waited_for_no_longer_than_a_probe(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """It is passed on as it is, but it is no generation."""
    engine.on("/v1/models", stream(Step.STALL))
    with RunningProxy(replace(settings, engine_probe_timeout_seconds=0.2)) as proxy:
        answer = proxy.http.get("/v1/models")

    assert answer.status_code == 504
    assert "ENGINE_PROBE_TIMEOUT" in answer.json()["error"]["message"]


def test_an_image_of_20_mb_is_accepted_and_more_than_the_limit_is_a_413(
    settings: ProxySettings,
) -> None:
    with RunningProxy(replace(settings, max_body_bytes=30 * 1024 * 1024)) as proxy:
        message = USER[0] | {"images": ["A" * 20_000_000]}
        accepted = proxy.http.post("/api/chat", json=CHAT | {"messages": [message]})
        refused = proxy.http.post("/api/generate", content=b"x" * (31 * 1024 * 1024))
        scrape = proxy.idle()

    assert accepted.status_code == 200
    assert refused.status_code == 413
    assert list(refused.json()) == ["error"]
    assert "MAX_BODY_MIB" in refused.json()["error"]
    labels = {"endpoint": "generate", "status": "client_error"}
    assert scrape.value("mistral_http_requests_total", **labels) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("POST", "/api/chat", 200),
        ("POST", "/v1/chat/completions", 200),
        ("GET", "/nope", 404),
        ("OPTIONS", "/api/chat", 204),
    ],
)
def test_every_answer_has_a_date(proxy: RunningProxy, method: str, path: str, status: int) -> None:
    """Whole, streamed, refused and preflight, as from Go's server."""
    before = datetime.now(UTC).replace(microsecond=0)
    headers = {"Origin": "http://localhost", "Access-Control-Request-Method": "POST"}
    answer = proxy.http.request(method, path, json=CHAT | {"stream": True}, headers=headers)

    assert answer.status_code == status
    assert before <= parsedate_to_datetime(answer.headers["date"]) <= datetime.now(UTC)


@pytest.mark.parametrize("path", ["/nope", "/api", "/api/nope", "/v1/nope", "/api/chat/x"])
def test_unknown_paths_are_gos_404(proxy: RunningProxy, path: str) -> None:
    answer = proxy.http.get(path)

    assert (answer.status_code, answer.text) == (404, "404 page not found")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "PATCH"])
def test_wrong_methods_are_gos_405(proxy: RunningProxy, method: str) -> None:
    answer = proxy.http.request(method, "/api/chat")

    assert (answer.status_code, answer.text) == (405, "405 method not allowed")


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        Reply((b"<html></html>",), content_type="text/html", length=True),
        Reply((b"<html></html>",), length=True),
        Reply((b"",), length=True),
    ],
    ids=["HTML", "not JSON", "nothing"],
)
def test_an_engine_that_is_something_else_is_a_502(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, reply: Reply, *, streamed: bool
) -> None:
    """HTML, or nothing at all, with a 200."""
    engine.chat(reply)

    answer = proxy.http.post(path, json=CHAT | {"stream": streamed})

    assert answer.status_code == 502
    assert "error" in answer.json()


@pytest.mark.parametrize("path", ["/api/tags", "/v1/models", "/readyz"])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_server_without_a_list_of_models_is_no_engine(
    engine: ScriptedEngine, settings: ProxySettings, path: str, status: int
) -> None:
    """Whatever its status says: the client asked for nothing wrong."""
    engine.on("/v1/models", json_reply({"message": "Requested model 'x' is not available"}, status))
    with RunningProxy(settings) as proxy:
        assert proxy.http.get("/api/tags").status_code == 502
        answer = proxy.http.get(path)

    assert answer.status_code == (503 if path == "/readyz" else 502)
    assert "MISTRAL_URL" in answer.text


def test_an_engine_that_resets_before_it_answers_is_a_502(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(Reply((Step.RESET,), length=True))

    assert proxy.http.post("/api/chat", json=CHAT).status_code == 502


def test_a_request_id_travels_to_the_engine_and_back(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """One id in both logs; an unusable one is replaced."""
    sent = proxy.http.post("/api/chat", json=CHAT, headers={"X-Request-ID": "abc-1"})
    odd = proxy.http.post("/api/chat", json=CHAT, headers={"X-Request-ID": 'a"b c'})

    assert sent.headers["x-request-id"] == "abc-1"
    assert odd.headers["x-request-id"] != 'a"b c'
    assert engine.calls()[0].headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("name", [MODEL, MODEL.replace("/", "%2F"), MODEL.lower() + ":latest"])
def test_one_model_can_be_looked_up_on_v1(proxy: RunningProxy, name: str) -> None:
    """The engine has no such route; slashes may be encoded."""
    answer = proxy.http.get(f"/v1/models/{name}")

    assert answer.json()["id"] == MODEL
    assert proxy.http.get("/v1/models/nope").json()["error"]["type"] == "not_found_error"


def test_a_model_under_a_key_of_another_case_is_named_to_the_engine(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Ollama takes it; the engine's own API does not."""
    answer = proxy.http.post("/v1/chat/completions", json={"Model": MODEL, "messages": USER})

    assert answer.status_code == 200
    assert engine.calls()[0].json == {"model": MODEL, "messages": USER}


def test_a_stream_is_one_whatever_the_case_of_its_type(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Media types have none (RFC 9110, 8.3.1)."""
    events = chunk("a") + chunk("b", finish="stop", usage=USAGE) + DONE
    engine.chat(Reply((events,), content_type="Text/Event-Stream; charset=utf-8"))
    answer = proxy.http.post("/v1/chat/completions", json=CHAT | {"stream": True})

    assert (answer.status_code, answer.content) == (200, events)


def test_a_slash_behind_v1_models_changes_nothing(proxy: RunningProxy) -> None:
    assert proxy.http.get("/v1/models/").content == proxy.http.get("/v1/models").content


@pytest.mark.parametrize("streamed", [False, True])
def test_v1_passes_byte_for_byte(
    engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool
) -> None:
    """Neither the request nor the answer is written anew."""
    odd = b'{ "model" : "%b",  "stream":%b, "unknown": [1.0e1] }' % (
        MODEL.encode(),
        json.dumps(streamed).encode(),
    )
    events = b": hi\r\n\r\n" + chunk("a") + chunk("b", finish="stop", usage=USAGE) + DONE
    whole = b'{ "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2} }\n'
    engine.chat(stream(events) if streamed else Reply((whole,), length=True))

    answer = proxy.http.post("/v1/chat/completions", content=odd)

    assert engine.calls()[0].body == odd
    assert answer.content == (events if streamed else whole)
    scrape = proxy.idle()
    assert scrape.value("mistral_generate_tokens_total", model=MODEL) == (18 if streamed else 2)
    chunks = scrape.value("mistral_streaming_chunks_total", endpoint="v1_chat_completions")
    assert chunks == (2 if streamed else 0)


def test_messages_pass_through_and_fail_in_anthropics_shape(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Where the engine has the endpoint, and where it has not."""
    body = {"model": MODEL, "messages": USER, "max_tokens": 5}
    absent = proxy.http.post("/v1/messages", json=body)
    unknown = proxy.http.post("/v1/messages", json=body | {"model": "nope"})
    engine.on("/v1/messages", json_reply({"type": "message", "usage": {"output_tokens": 3}}))
    present = proxy.http.post("/v1/messages", json=body)

    assert absent.status_code == 501
    assert unknown.json()["type"] == "error"
    assert unknown.json()["error"]["type"] == "not_found_error"
    assert present.json()["type"] == "message"
    assert proxy.idle().value("mistral_generate_tokens_total", model=MODEL) == 3


def test_an_unknown_option_is_named_in_the_log_once(
    proxy: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Without its value, which may be anything."""
    for _ in range(3):
        proxy.http.post("/api/chat", json=CHAT | {"options": {"made_up": "private"}})

    told = [record for record in caplog.records if record.message == "unknown_option_ignored"]
    assert [record.__dict__["fields"] for record in told] == [{"option": "made_up"}]


def test_too_long_an_input_to_embed_is_told_in_ollamas_words(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    message = "Prompt sequence length is greater than 512"
    engine.on("/v1/embeddings", json_reply({"message": message}, 422))
    answer = proxy.http.post("/api/embed", json={"model": MODEL, "input": "x", "truncate": False})

    assert answer.status_code == 400
    assert answer.json() == {"error": "the input length exceeds the context length"}


def test_an_error_as_first_event_is_a_status_on_v1_as_well(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(event({"error": {"message": "out of memory"}}), DONE))

    answer = proxy.http.post("/v1/chat/completions", json=CHAT | {"stream": True})

    assert answer.status_code == 500
    assert answer.json()["error"]["message"] == "out of memory"


def test_every_page_may_call_when_the_settings_say_so(settings: ProxySettings) -> None:
    """`OLLAMA_ORIGINS=*`, as people set it for Ollama."""
    with RunningProxy(replace(settings, origins=("*",))) as proxy:
        answer = proxy.http.get("/api/tags", headers={"Origin": "https://any.example"})

    assert answer.headers["access-control-allow-origin"] == "*"
