"""Tool calls in pieces, as OpenAI's streams have them."""

from typing import Any, cast

import pytest

from proxy_service.errors import EngineProtocolError
from proxy_service.streaming.tool_calls import ToolCalls
from proxy_service.wire.engine import ToolCallDelta


def delta(index: int | None, arguments: str, **more: Any) -> ToolCallDelta:  # noqa: ANN401  any field
    name = {"name": more.pop("name")} if "name" in more else {}
    given = {} if index is None else {"index": index}
    return cast("ToolCallDelta", {**given, **more, "function": {**name, "arguments": arguments}})


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        (
            [delta(0, "", id="x", name="f"), delta(0, '{"a"'), delta(0, ":1}")],
            [("x", "f", '{"a":1}')],
        ),
        (
            [delta(1, "1", id="x", name="f"), delta(0, "2", id="y", name="g"), delta(1, "3")],
            [("x", "f", "13"), ("y", "g", "2")],
        ),
        # Whole calls, which all have the same index, or none.
        (
            [delta(0, "1", id="x", name="f"), delta(0, "2", id="y", name="f")],
            [("x", "f", "1"), ("y", "f", "2")],
        ),
        (
            [delta(None, "1", id="x", name="f"), delta(None, "2", id="y", name="f")],
            [("x", "f", "1"), ("y", "f", "2")],
        ),
        # Each piece with the id.
        (
            [delta(0, "1", id="x", name="f"), delta(0, "2", id="y"), delta(0, "3", id="x")],
            [("x", "f", "13"), ("y", None, "2")],
        ),
        # A piece without an id belongs to the latest call.
        (
            [delta(0, "1", id="x", name="f"), delta(0, "2", id="y", name="g"), delta(0, "3")],
            [("x", "f", "1"), ("y", "g", "23")],
        ),
    ],
)
def test_pieces_are_appended_to_their_call(
    deltas: list[ToolCallDelta], calls: list[tuple[str, str | None, str]]
) -> None:
    tools = ToolCalls()
    for one in deltas:
        tools.add([one])

    assert [
        (call.get("id"), call["function"].get("name"), call["function"]["arguments"])
        for call in tools.calls
    ] == calls


def test_more_calls_than_a_model_makes_are_the_engines_fault() -> None:
    tools = ToolCalls()
    with pytest.raises(EngineProtocolError, match="1000 tool calls"):
        tools.add([delta(index, "") for index in range(10**9, 10**9 + 1001)])


def test_endless_arguments_are_the_engines_fault() -> None:
    tools = ToolCalls()
    for _ in range(15):
        tools.add([delta(0, "x" * 1024 * 1024)])
    assert tools.held > 15 * 1024 * 1024
    with pytest.raises(EngineProtocolError, match="16777216 bytes"):
        tools.add([delta(0, "x" * 1024 * 1024)])
