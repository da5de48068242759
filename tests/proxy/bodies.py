"""Request bodies that the tests of several endpoints start from."""

from typing import Any

from tests.proxy.scripted_engine import MODEL

USER = [{"role": "user", "content": "hi"}]
CHAT = {"model": MODEL, "messages": USER, "stream": False}
GENERATE = {"model": MODEL, "prompt": "hi", "stream": False}
# The fields in which engines send thinking; some use both for the same text.
THINKING_NAMES = (("reasoning_content",), ("reasoning",), ("reasoning", "reasoning_content"))
# The fields of a response that are whole numbers: tokens and nanoseconds.
COUNTS_AND_DURATIONS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)


def thinking(names: tuple[str, ...], text: str | None) -> dict[str, Any]:
    """Return the fields of a message or delta with this thinking."""
    return dict.fromkeys(names, text)
