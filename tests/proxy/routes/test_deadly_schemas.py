"""A schema that would end the engine for everybody is refused."""

import pytest

from tests.proxy.bodies import CHAT
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import ScriptedEngine

LOWEST = -(2**63)
LARK = 'start: "a" | %json {"enum": [-9223372036854775808]}'
REFUSED: dict[str, dict[str, object]] = {
    "const": {"const": LOWEST},
    "the same as a double": {"const": LOWEST + 512},
    "lower": {"type": "integer", "const": LOWEST - 1},
    "a float": {"type": "integer", "const": -1e30},
    "enum": {"enum": [1, LOWEST]},
    "deep in a value": {"anyOf": [{"const": {"a": [1, LOWEST]}}]},
    "bounds": {"type": "integer", "minimum": LOWEST, "maximum": LOWEST},
    "an exclusive bound": {"type": "integer", "minimum": -1e30, "exclusiveMaximum": -1e20},
    "bounds in two schemas": {"allOf": [{"type": "integer", "minimum": -1e30}, {"maximum": -1e20}]},
    "where a reference may lead": {"$ref": "#/x", "x": {"const": LOWEST}},
    "among properties": {"$ref": "#/properties", "properties": {"const": {"a": LOWEST}}},
}
ACCEPTED: dict[str, dict[str, object]] = {
    "a lower bound": {"type": "integer", "minimum": LOWEST, "maximum": 2**63 - 1},
    "a default": {"type": "integer", "default": LOWEST},
    "a value above": {"const": LOWEST + 1024},
    "another kind of value": {"enum": ["-9223372036854775808", True, None]},
}


def placed(schema: dict[str, object]) -> dict[str, dict[str, object]]:
    """Return every place where an engine may compile ``schema``."""
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}
    text = {"type": "json_schema", "name": "x", "schema": schema}
    return {
        "response_format": {
            "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}
        },
        "grammar": {"grammar": {"type": "json_schema", "value": schema}},
        "llguidance": {
            "grammar": {"type": "llguidance", "value": {"grammars": [{"json_schema": schema}]}}
        },
        "text": {"text": {"format": text}},
        "output_config": {"output_config": {"format": text}},
        "tools": {"tools": [tool]},
        "Anthropic's tools": {"tools": [{"name": "f", "input_schema": schema}]},
    }


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_wherever_it_is(
    engine: ScriptedEngine, proxy: RunningProxy, schema: dict[str, object]
) -> None:
    for extra in placed(schema).values():
        response = proxy.http.post("/v1/chat/completions", json=CHAT | extra)

        assert response.status_code == 400
        assert "can't compile a schema with -" in response.json()["error"]["message"]
    assert engine.calls() == []


@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses", "messages"])
@pytest.mark.parametrize("extra", placed({"enum": [LOWEST]}).values(), ids=placed({}))
def test_it_is_refused_under_every_path(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, extra: dict[str, object]
) -> None:
    response = proxy.http.post(f"/v1/{path}", json=CHAT | {"input": "x"} | extra)

    assert response.status_code == 400
    assert "-9223372036854775808 in 'enum'" in response.json()["error"]["message"]
    assert engine.calls() == []


@pytest.mark.parametrize(
    "grammar",
    [
        {"type": "lark", "value": LARK},
        {"type": "llguidance", "value": {"grammars": [{"lark_grammar": LARK}]}},
    ],
    ids=["lark", "llguidance"],
)
def test_it_is_refused_within_a_lark_grammar(
    engine: ScriptedEngine, proxy: RunningProxy, grammar: dict[str, object]
) -> None:
    response = proxy.http.post("/v1/chat/completions", json=CHAT | {"grammar": grammar})

    assert response.status_code == 400
    assert engine.calls() == []


@pytest.mark.parametrize("schema", ACCEPTED.values(), ids=ACCEPTED)
def test_other_schemas_are_passed_on(
    engine: ScriptedEngine, proxy: RunningProxy, schema: dict[str, object]
) -> None:
    for position, extra in enumerate(placed(schema).values()):
        assert proxy.http.post("/v1/chat/completions", json=CHAT | extra).status_code == 200
        assert engine.calls()[position].json == CHAT | extra


def test_what_a_message_says_is_no_schema(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "x", "const": LOWEST}]}
    body = CHAT | {"messages": [message]}

    assert proxy.http.post("/v1/chat/completions", json=body).status_code == 200
    assert engine.calls()[0].json == body


def test_chat_refuses_it_in_a_tools_parameters(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    tool = {"function": {"name": "f", "strict": True, "parameters": {"const": LOWEST}}}
    response = proxy.http.post("/api/chat", json=CHAT | {"tools": [tool]})

    assert response.status_code == 400
    assert "-9223372036854775808 in 'const'" in response.json()["error"]
    assert engine.calls() == []
