"""Streams that pass through unchanged: what is counted in them."""

import pytest

from proxy_service.streaming.passthrough import PassthroughStream
from tests.proxy.bodies import thinking
from tests.proxy.scripted_engine import DONE, USAGE, delta_event, event


def test_a_stream_is_counted_and_left_unchanged() -> None:
    stream = PassthroughStream(model="m")
    body = b"".join(
        [
            b": keep-alive\n\n",
            delta_event(""),
            delta_event("a"),
            delta_event("b", finish="stop", usage=USAGE),
            event({"choices": [], "usage": USAGE}),
            DONE,
        ]
    )
    batches = [stream.feed(body[i : i + 7]) for i in range(0, len(body), 7)]

    assert b"".join(batch.data for batch in batches) == body
    assert sum(batch.chunks for batch in batches) == 2
    assert sum(batch.deltas for batch in batches) == 2
    assert stream.close().error is None
    assert stream.tokens == 18
    assert stream.finish_reason == "stop"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thinking_counts_as_content(name: str) -> None:
    body = delta_event(None, **thinking((name,), "hm")) + delta_event(
        None, **thinking((name,), None)
    )
    batch = PassthroughStream(model="m").feed(body)

    assert (batch.data, batch.chunks, batch.deltas) == (body, 1, 1)


def test_only_the_deltas_of_other_apis_count_as_content() -> None:
    """`/v1/responses` sends the whole text again at the end."""
    whole = {"output": [{"content": [{"type": "output_text", "text": "ab"}]}]}
    events: list[tuple[str, dict[str, object]]] = [
        ("response.created", {"response": {"output": []}}),
        ("response.content_part.added", {"part": {"text": ""}}),
        ("response.output_text.delta", {"delta": "a"}),
        ("response.output_text.delta", {"delta": "b"}),
        ("response.content_part.done", {"part": {"text": "ab"}}),
        ("response.completed", {"response": whole | {"usage": {"output_tokens": 2}}}),
    ]
    body = b"".join(f"event: {n}\n".encode() + event({"type": n} | v) for n, v in events)
    stream = PassthroughStream(model="m")
    batch = stream.feed(body)

    assert (batch.chunks, batch.deltas) == (2, 2)
    assert batch.data == body
    assert stream.tokens == 2


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("message_stop", {"input_tokens": 3, "output_tokens": 4}),
        ("response.completed", {"input_tokens": 3, "output_tokens": 4}),
    ],
)
def test_streams_of_other_apis_end_with_their_own_event(
    name: str, usage: dict[str, object]
) -> None:
    stream = PassthroughStream(model="m")
    body: dict[str, object] = {"type": name, "usage": usage}
    if name.startswith("response"):
        body = {"type": name, "response": {"usage": usage}}
    stream.feed(f"event: {name}\n".encode() + event(body))

    assert stream.close().error is None
    assert stream.usage == {"prompt_tokens": 3, "completion_tokens": 4}


def test_the_first_error_of_several_is_reported() -> None:
    stream = PassthroughStream(model="m")

    batch = stream.feed(b"data: the reason\n\ndata: more\n\n")

    assert batch.error is not None
    assert batch.error.message == "the reason"
