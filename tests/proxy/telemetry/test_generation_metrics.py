"""The metrics of generations: tokens, chunks, times and how they ended."""

import threading

import pytest

from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    Body,
    ScriptedEngine,
    delta_event,
    json_reply,
    stream,
    words,
)
from tests.proxy.telemetry.counting import (
    CHUNKS,
    FIRST_TOKEN,
    GENERATED,
    HELLO,
    STREAMS,
    TOKENS,
    WHOLE,
    named,
    outcomes,
)


def usage(completion_tokens: int) -> Body:
    return USAGE | {"completion_tokens": completion_tokens}


def test_a_whole_chat_counts_tokens_and_no_chunks(proxy: RunningProxy) -> None:
    proxy.http.post("/api/chat", json=WHOLE)
    scrape = proxy.idle()

    assert outcomes(scrape) == {"success": 1}
    assert scrape.value(TOKENS, model=MODEL) == 18
    assert scrape.value("mistral_prompt_tokens_total", model=MODEL) == 11
    assert scrape.value(CHUNKS, endpoint="chat") == 0
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 0
    assert scrape.value(GENERATED, model=MODEL) == 1


def test_a_streamed_chat_counts_each_delta_once(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """20 deltas are 20 chunks and 20 tokens, and one of them is the first."""
    engine.chat(words(*["x"] * 20, usage=usage(20)))

    proxy.http.post("/api/chat", json=HELLO)
    scrape = proxy.idle()

    assert scrape.value(CHUNKS, endpoint="chat") == 20
    assert scrape.value(TOKENS, model=MODEL) == 20
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 1
    assert scrape.value("mistral_time_per_output_token_seconds_count", model=MODEL) == 1
    assert scrape.value(STREAMS, endpoint="chat", outcome="completed") == 1
    assert scrape.value("mistral_generations_total", model=MODEL, finish_reason="stop") == 1


def test_tokens_follow_the_engines_usage(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """One event can carry several tokens."""
    engine.chat(words(*["x"] * 20, usage=usage(25)))

    proxy.http.post("/api/chat", json=HELLO)
    scrape = proxy.idle()

    assert scrape.value(CHUNKS, endpoint="chat") == 20
    assert scrape.value(TOKENS, model=MODEL) == 25


def test_empty_deltas_are_not_chunks(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Deltas with only a role, or nothing, don't count, not even as the first token."""
    text = threading.Event()
    empty = delta_event(None), delta_event("")
    engine.chat(
        stream(*empty, text, delta_event("x"), delta_event("", finish="stop", usage=usage(1)), DONE)
    )

    sending = threading.Thread(target=proxy.http.post, args=["/api/chat"], kwargs={"json": HELLO})
    sending.start()
    proxy.put_forward_in_silence(engine, 5)
    text.set()
    sending.join()
    scrape = proxy.idle()

    assert scrape.value(CHUNKS, endpoint="chat") == 1
    assert scrape.value("mistral_time_to_first_token_seconds_sum", model=MODEL) > 5


def test_only_the_content_of_a_v1_stream_counts(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """A role, a summary and the end of a stream aren't tokens."""
    gate = threading.Event()
    last = delta_event("", finish="length", usage=usage(2))
    engine.chat(stream(delta_event(""), gate, delta_event("a"), delta_event("b"), last, DONE))
    endpoint = "v1_chat_completions"

    body = HELLO | {"stream": True}
    with proxy.http.stream("POST", "/v1/chat/completions", json=body) as response:
        parts = response.iter_bytes()
        next(parts)
        assert proxy.scrape().value(CHUNKS, endpoint=endpoint) == 0
        gate.set()
        list(parts)
    scrape = proxy.idle()

    assert scrape.value(CHUNKS, endpoint=endpoint) == 2
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 1


def test_a_v1_stream_without_content_has_no_first_token(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(stream(delta_event(""), delta_event("", finish="stop", usage=usage(0)), DONE))
    proxy.http.post("/v1/chat/completions", json=HELLO | {"stream": True})
    scrape = proxy.idle()

    assert outcomes(scrape, "v1_chat_completions") == {"success": 1}
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 0


def test_raw_text_in_one_piece_has_no_token_times(proxy: RunningProxy) -> None:
    """Its lines are written after the generation."""
    proxy.http.post("/api/generate", json={"model": MODEL, "prompt": "hi", "raw": True})
    scrape = proxy.idle()

    assert outcomes(scrape, "generate") == {"success": 1}
    assert scrape.value(FIRST_TOKEN, model=MODEL) == 0
    assert scrape.value("mistral_time_per_output_token_seconds_count", model=MODEL) == 0
    assert scrape.value(GENERATED, model=MODEL) == 1


@pytest.mark.parametrize(
    ("path", "reply", "reason"),
    [
        ("/v1/responses", {"status": "completed"}, "stop"),
        ("/v1/responses", {"status": "incomplete"}, "length"),
        ("/v1/messages", {"stop_reason": "max_tokens"}, "length"),
        ("/v1/messages", {"stop_reason": "tool_use"}, "tool_calls"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value.values())),
)
def test_the_finish_reasons_of_other_apis_are_counted_by_their_meaning(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, reply: dict[str, str], reason: str
) -> None:
    """In streams and in whole replies."""
    if path == "/v1/responses":
        last = named(f"response.{reply['status']}", {"response": reply})
    else:
        last = named("message_delta", {"delta": reply}) + named("message_stop", {})
    for whole_or_stream in (stream(last), json_reply(reply)):
        engine.on(path, whole_or_stream)
        proxy.http.post(path, json={"model": MODEL, "input": "hi"})
    scrape = proxy.idle()

    assert scrape.value("mistral_generations_total", model=MODEL, finish_reason=reason) == 2


@pytest.mark.parametrize("works", [True, False])
def test_an_embedding_is_not_a_generation(
    engine: ScriptedEngine, proxy: RunningProxy, *, works: bool
) -> None:
    """Whether it succeeds or fails, it changes no metric of generations."""
    if not works:
        engine.on("/v1/embeddings", json_reply({"message": "boom"}, 500))
    for path in ("/api/embed", "/v1/embeddings"):
        proxy.http.post(path, json={"model": MODEL, "input": "x"})
    scrape = proxy.idle()

    moved = {k[0] for k, v in scrape.samples.items() if ("model", MODEL) in k[1] and v}
    assert moved == {"mistral_model_loaded"}
    assert outcomes(scrape, "embed") == {"success" if works else "error": 1}
