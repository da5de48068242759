"""`/api/chat`, streamed: what a client sees through real sockets."""

import json
import threading
from typing import Any

import pytest

from proxy_service.streaming.ollama import OllamaStream
from proxy_service.streaming.passthrough import PassthroughStream
from tests.proxy.bodies import THINKING_NAMES, thinking
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    ScriptedEngine,
    Step,
    delta_event,
    event,
    json_reply,
    stream,
    words,
)

HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


def lines_of(body: bytes) -> list[dict[str, Any]]:
    """Split NDJSON and check its framing."""
    assert body.endswith(b"\n")
    parts = body[:-1].split(b"\n")
    assert all(parts)
    return [json.loads(part) for part in parts]


def contents(lines: list[dict[str, Any]]) -> list[str]:
    return [line["message"]["content"] for line in lines]


def test_a_streamed_chat_ends_with_exactly_one_done(proxy: RunningProxy) -> None:
    """Each chunk is a line of NDJSON, and the last one has no content."""
    response = proxy.http.post("/api/chat", json=HELLO)

    lines = lines_of(response.content)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert contents(lines) == ["Hello", " world", ""]
    assert [line["done"] for line in lines] == [False, False, True]


def test_text_in_the_last_event_is_sent_before_the_last_chunk(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """No text is lost because it arrived together with the end."""
    engine.chat(stream(delta_event("a"), delta_event("b", finish="stop", usage=USAGE), DONE))

    assert contents(lines_of(proxy.http.post("/api/chat", json=HELLO).content)) == ["a", "b", ""]


def test_the_last_chunk_has_the_engines_counts_and_times(proxy: RunningProxy) -> None:
    """From usage, as whole numbers, with times in nanoseconds."""
    final = lines_of(proxy.http.post("/api/chat", json=HELLO).content)[-1]

    assert final["done_reason"] == "stop"
    assert (final["prompt_eval_count"], final["eval_count"]) == (11, 18)
    assert (final["prompt_eval_duration"], final["eval_duration"]) == (13_000_000, 52_000_000)
    assert isinstance(final["total_duration"], int)
    assert final["total_duration"] > 0
    assert final["load_duration"] == 0


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "length"), ("tool_calls", "stop"), ("canceled", "stop")]
)
def test_done_reason_follows_the_finish_reason(
    engine: ScriptedEngine, proxy: RunningProxy, finish: str, reason: str
) -> None:
    engine.chat(words("x", finish=finish))

    assert lines_of(proxy.http.post("/api/chat", json=HELLO).content)[-1]["done_reason"] == reason


@pytest.mark.parametrize("names", THINKING_NAMES, ids="+".join)
def test_thinking_and_content_never_share_a_chunk(
    engine: ScriptedEngine, proxy: RunningProxy, names: tuple[str, ...]
) -> None:
    """An event with both becomes two chunks. Engines have two names for thinking."""
    engine.chat(
        stream(
            delta_event("answer", **thinking(names, "because")),
            delta_event("", finish="stop", usage=USAGE),
            DONE,
        )
    )

    messages = [
        line["message"] for line in lines_of(proxy.http.post("/api/chat", json=HELLO).content)
    ]
    assert messages == [
        {"role": "assistant", "content": "", "thinking": "because"},
        {"role": "assistant", "content": "answer"},
        {"role": "assistant", "content": ""},
    ]


def test_noise_and_splits_in_the_engines_stream_do_not_matter(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Comments, named events, CRLF, and splits within an event and within a character."""
    emoji = "data: " + json.dumps(
        {"choices": [{"delta": {"content": "\N{GRINNING FACE}é"}, "finish_reason": None}]},
        ensure_ascii=False,
    )
    raw = emoji.encode() + b"\r\n\r\n"
    cut = raw.index(b"\xf0\x9f") + 2
    first_half_read = threading.Event()
    engine.chat(
        stream(
            b": keep-alive\n\n",
            b'event: agentic_tool_call_progress\ndata: {"tool":"x"}\n\n',
            delta_event("?") + raw[:cut],
            first_half_read,
            raw[cut:],
            delta_event("!", finish="stop", usage=USAGE),
            DONE,
        )
    )

    with proxy.http.stream("POST", "/api/chat", json=HELLO) as response:
        parts = response.iter_bytes()
        lines = next(parts)
        first_half_read.set()
        lines += b"".join(parts)
    assert contents(lines_of(lines)) == ["?", "\N{GRINNING FACE}é", "!", ""]


def test_a_finished_stream_without_a_done_marker_is_complete(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """The engine may just close it, even without a blank line after the last event."""
    last = delta_event("b", finish="stop", usage=USAGE)
    engine.chat(stream(delta_event("a"), last.removesuffix(b"\n\n"), bare_close=True))

    assert contents(lines_of(proxy.http.post("/api/chat", json=HELLO).content)) == ["a", "b", ""]


def test_the_model_is_repeated_as_it_was_sent(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """In any case, with or without tag, while the engine always gets its own id."""
    for name in (MODEL, f"{MODEL}:latest", MODEL.upper()):
        lines = lines_of(proxy.http.post("/api/chat", json=HELLO | {"model": name}).content)
        assert {line["model"] for line in lines} == {name}

    assert {call.json["model"] for call in engine.calls()} == {MODEL}


def test_an_error_as_the_first_event_becomes_a_status(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Nothing has been sent yet, so the status can be set."""
    failure = {"error": {"message": "out of memory", "type": "server_error"}}
    engine.chat(stream(event(failure), DONE))

    response = proxy.http.post("/api/chat", json=HELLO)

    assert response.status_code == 500
    assert response.json() == {"error": "out of memory"}


def test_an_event_with_plain_text_is_an_error(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Older releases report a prompt that is too long as text, with status 200."""
    engine.chat(stream(b"data: Prompt sequence length is greater than 2048\n\n", DONE))

    response = proxy.http.post("/api/chat", json=HELLO)

    assert response.status_code == 400
    assert response.json() == {"error": "Prompt sequence length is greater than 2048"}


def test_an_error_after_three_events_is_the_last_line(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """After three chunks, and without a chunk that says done."""
    engine.chat(
        stream(
            delta_event("a"),
            delta_event("b"),
            delta_event("c"),
            event({"error": {"message": "boom"}}),
            DONE,
        )
    )

    response = proxy.http.post("/api/chat", json=HELLO)
    lines = lines_of(response.content)

    assert response.status_code == 200
    assert contents(lines[:3]) == ["a", "b", "c"]
    assert lines[3:] == [{"error": "boom"}]


@pytest.mark.parametrize("ending", [Step.CUT, Step.RESET, DONE], ids=["cut", "reset", "done"])
def test_a_stream_that_ends_too_early_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy, ending: Step | bytes
) -> None:
    go_on = threading.Event()
    engine.chat(stream(delta_event("a"), go_on, ending))

    with proxy.http.stream("POST", "/api/chat", json=HELLO) as response:
        parts = response.iter_bytes()
        first = next(parts)
        go_on.set()
        lines = lines_of(first + b"".join(parts))

    assert contents(lines[:1]) == ["a"]
    assert list(lines[-1]) == ["error"]
    assert len(lines) == 2


def test_tool_calls_arrive_whole_with_objects_as_arguments(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """With indexes 0 and 1 and their ids, before the last chunk."""
    calls = [
        {
            "index": i,
            "id": f"call-{i}",
            "type": "function",
            "function": {"name": f"f{i}", "arguments": json.dumps({"x": i})},
        }
        for i in range(2)
    ]
    engine.chat(stream(delta_event(None, finish="tool_calls", usage=USAGE, tool_calls=calls), DONE))

    lines = lines_of(proxy.http.post("/api/chat", json=HELLO).content)

    assert lines[0]["message"]["tool_calls"] == [
        {"id": f"call-{i}", "function": {"index": i, "name": f"f{i}", "arguments": {"x": i}}}
        for i in range(2)
    ]
    assert [line["done"] for line in lines] == [False, True]


def test_a_stop_string_that_is_split_between_events_is_never_sent(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Nor is any text after it."""
    engine.chat(words("one E", "N", "D two", " three"))

    body = HELLO | {"options": {"stop": ["END"]}}
    lines = lines_of(proxy.http.post("/api/chat", json=body).content)

    assert "".join(contents(lines)) == "one "
    assert lines[-1]["done_reason"] == "stop"


def test_ten_thousand_events_arrive_complete_and_in_order(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Nothing is lost or duplicated, and each line is valid."""
    texts = [f"{i} \N{SNOWMAN}\u2028" for i in range(10_000)]
    engine.chat(words(*texts))

    lines = lines_of(proxy.http.post("/api/chat", json=HELLO).content)

    assert contents(lines) == [*texts, ""]


def test_a_prompt_of_a_megabyte_reaches_the_engine_unchanged(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    prompt = "Zwölf Boxkämpfer \N{GRINNING FACE} " * 40_000

    proxy.http.post("/api/chat", json=HELLO | {"messages": [{"role": "user", "content": prompt}]})

    assert engine.calls()[0].json["messages"] == [{"role": "user", "content": prompt}]


def test_an_unknown_model_that_the_engine_reports_is_a_404(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """The engine sends 500, but clients expect Ollama's 404."""
    message = f"Requested model '{MODEL}' is not available. Available models: none."
    engine.chat(json_reply({"message": message}, 500))

    response = proxy.http.post("/api/chat", json=HELLO)

    assert response.status_code == 404
    assert response.json() == {"error": f"model '{MODEL}' not found"}


def test_a_json_reply_to_a_stream_request_is_an_error(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """A reply of the wrong content type breaks the engine's protocol: 502."""
    engine.chat(json_reply("<html>oops</html>"))

    response = proxy.http.post("/api/chat", json=HELLO)

    assert response.status_code == 502
    assert "error" in response.json()


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("/api/chat", b'{"error":"internal error; the proxy\'s log has the details"}\n'),
        ("/v1/chat/completions", b'\n\ndata: {"error":{"message":"internal error; '),
        ("/v1/messages", b'\n\nevent: error\ndata: {"type":"error","error":{"type":"api_error",'),
    ],
)
def test_a_fault_of_the_proxy_ends_a_stream_in_its_own_format(
    engine: ScriptedEngine,
    proxy: RunningProxy,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    last: bytes,
) -> None:
    """A client that reads events would ignore a bare line as an unknown field."""

    def fail(*_: object) -> None:
        raise RuntimeError

    go_on = threading.Event()
    engine.on(
        path.replace("/api/chat", "/v1/chat/completions"), stream(delta_event("a"), go_on, DONE)
    )
    body = HELLO | {"stream": True}
    with proxy.http.stream("POST", path, json=body) as response:
        parts = response.iter_bytes()
        next(parts)
        monkeypatch.setattr(OllamaStream, "feed", fail)
        monkeypatch.setattr(PassthroughStream, "feed", fail)
        go_on.set()
        rest = b"".join(parts)

    assert rest.startswith(last)
