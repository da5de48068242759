"""Chat messages, from Ollama's shape to the engine's."""

from typing import Any

import pytest

from proxy_service.errors import InvalidRequest
from proxy_service.translate.messages import (
    MAX_IMAGES,
    image_url,
    to_engine_messages,
    user_content,
)
from proxy_service.wire.ollama import Message, ToolCall


def test_tool_results_are_paired_with_calls_by_id_name_or_order() -> None:
    calls = tuple(ToolCall(i, n, {}) for i, n in (("1", "f"), ("", "g"), ("3", "f")))
    results = (
        Message("tool", "by id", tool_call_id="3"),
        Message("tool", "by name", tool_name="g"),
        Message("tool", "by order"),
        Message("tool", "left over", tool_name="h"),
    )
    translated = to_engine_messages((Message("assistant", "", tool_calls=calls), *results))

    assistant: dict[str, Any] = translated[0]
    ids = [call["id"] for call in assistant["tool_calls"]]
    assert [m["tool_call_id"] for m in translated[1:]] == ["3", ids[1], "1", "h"]
    assert [m["name"] for m in translated[1:]] == ["f", "g", "f", "h"]
    assert len(set(ids)) == 3


def test_thinking_is_sent_back_as_reasoning() -> None:
    (message,) = to_engine_messages((Message("assistant", "a", thinking="b"),))

    assert message == {"role": "assistant", "content": "a", "reasoning_content": "b"}


@pytest.mark.parametrize(
    ("image", "url"),
    [
        ("/9j/4AAQ", "data:image/jpeg;base64,/9j/4AAQ"),
        ("UklGRg==", "data:image/webp;base64,UklGRg=="),
        ("AAAA", "data:image/png;base64,AAAA"),
        ("data:image/gif;base64,R0lG", "data:image/gif;base64,R0lG"),
    ],
)
def test_images_become_data_urls(image: str, url: str) -> None:
    assert image_url(image) == url


def test_each_of_many_tool_results_belongs_to_its_call() -> None:
    """In any order, whatever the results name."""
    names = ["f", "g"]
    calls = tuple(ToolCall(str(i), names[i % 2], {}) for i in range(20_000))
    results = [Message("tool", str(i), tool_call_id=str(i)) for i in range(19_999, 9_999, -1)]
    results += [Message("tool", "", tool_name="g") for _ in range(5_000)]
    results += [Message("tool", "") for _ in range(5_000)]

    translated = to_engine_messages((Message("assistant", "", tool_calls=calls), *results))

    answered = [int(str(message["tool_call_id"])) for message in translated[1:]]
    assert answered[:10_000] == list(range(19_999, 9_999, -1))
    assert answered[10_000:15_000] == list(range(1, 10_000, 2))
    assert answered[15_000:] == list(range(0, 10_000, 2))


def test_results_of_calls_with_one_id_belong_to_one_call_each() -> None:
    calls = (ToolCall("1", "f", {}), ToolCall("1", "g", {}))
    results = [Message("tool", "", tool_call_id="1", tool_name="g")]
    results += [Message("tool", "", tool_call_id="1")] * 2

    translated = to_engine_messages((Message("assistant", "", tool_calls=calls), *results))

    assert [message["name"] for message in translated[1:]] == ["g", "f", "tool"]


def test_many_turns_of_one_role_become_one() -> None:
    """In linear time, since a request may have a quarter of a million messages."""
    (message,) = to_engine_messages((Message("user", "a"),) * 100_000)

    assert message["content"] == "\n\n".join(["a"] * 100_000)


def test_the_number_of_images_is_limited_for_all_messages_together() -> None:
    half = Message("user", "", images=("AAAA",) * (MAX_IMAGES // 2))

    (message,) = to_engine_messages((half, half))
    parts: Any = message["content"]
    assert [part["type"] for part in parts] == ["text", *["image_url"] * MAX_IMAGES]
    with pytest.raises(InvalidRequest, match="at most 1000 images, not 1001"):
        to_engine_messages((half, half, Message("user", "", images=("AAAA",))))
    with pytest.raises(InvalidRequest, match="at most 1000 images, not 1001"):
        user_content("", ("AAAA",) * (MAX_IMAGES + 1))
