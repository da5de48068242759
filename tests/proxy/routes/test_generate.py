"""`/api/generate`: raw prompts, contexts and what it refuses."""

import json

import pytest

from tests.proxy.bodies import GENERATE
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, ScriptedEngine


@pytest.mark.parametrize("streamed", [False, True])
def test_a_raw_prompt_is_sent_to_completions_without_a_template(
    engine: ScriptedEngine, proxy: RunningProxy, *, streamed: bool
) -> None:
    """Whole and streamed, with exact counts and without a context."""
    body = GENERATE | {"raw": True, "stream": streamed}
    response = proxy.http.post("/api/generate", json=body)
    lines = [json.loads(line) for line in response.content.splitlines()]

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
def test_what_generate_does_not_support_is_a_400(
    proxy: RunningProxy, fields: dict[str, object], text: str
) -> None:
    response = proxy.http.post("/api/generate", json=GENERATE | fields)

    assert (response.status_code, response.json()) == (400, {"error": text})


def test_a_context_is_returned_and_a_foreign_one_is_ignored(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    response = proxy.http.post("/api/generate", json=GENERATE | {"context": [1, 2, 3]}).json()

    assert all(isinstance(number, int) for number in response["context"])
    assert [m["content"] for m in engine.calls()[0].json["messages"]] == ["hi"]
