"""Request bodies that the tests of several endpoints start from."""

from tests.proxy.scripted_engine import MODEL

USER = [{"role": "user", "content": "hi"}]
CHAT = {"model": MODEL, "messages": USER, "stream": False}
GENERATE = {"model": MODEL, "prompt": "hi", "stream": False}
# The fields of a response that are whole numbers: tokens and nanoseconds.
COUNTS_AND_DURATIONS = (
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
)
