"""Schemas that pydantic and Zod generate, with a real engine and a tiny model.

The model's weights are random, so a reply contains whatever the grammar allows. Each reply that
ends must match the client's schema, except for the keywords that are documented as loosened. See
`test_real_engine.py` for the engine.
"""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from proxy_service.settings.schema import ProxySettings
from proxy_service.translate.schemas.translation import to_grammar_schema
from tests.proxy.routes.test_real_engine import MESSAGES, engine_url  # noqa: F401  a fixture
from tests.proxy.running import RunningProxy
from tests.proxy.schemas.bounds import is_bounded
from tests.proxy.schemas.table import LOOSENED, SCHEMAS

# Tokens, of one byte each: more than the longest reply that a bounded schema allows.
ENOUGH = 800
# Of a reply that may go on forever.
SOME = 120


@pytest.fixture(scope="module")
def proxy(engine_url: str) -> Iterator[RunningProxy]:  # noqa: F811
    with RunningProxy(ProxySettings(engine_url=engine_url)) as running:
        yield running


@pytest.fixture(scope="module")
def model(proxy: RunningProxy) -> str:
    (listed,) = proxy.http.get("/api/tags").json()["models"]
    return str(listed["name"])


def translated(name: str) -> dict[str, Any]:
    return to_grammar_schema(SCHEMAS[name]).schema


def without(schema: Any, keywords: set[str]) -> Any:  # noqa: ANN401  any JSON
    """Return a schema that doesn't enforce these keywords."""
    if isinstance(schema, list):
        return [without(item, keywords) for item in schema]
    if not isinstance(schema, dict):
        return schema
    left = {key: without(value, keywords) for key, value in schema.items() if key not in keywords}
    return left | ({"anyOf": schema["oneOf"]} if "oneOf" in schema and "oneOf" in keywords else {})


def test_the_table_names_what_is_loosened() -> None:
    found = {name: set(to_grammar_schema(schema).loosened) for name, schema in SCHEMAS.items()}

    assert {name: keywords for name, keywords in found.items() if keywords} == LOOSENED
    bounded = [name for name in SCHEMAS if is_bounded(translated(name), translated(name))]
    assert len(bounded) >= 70


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_reply_matches_its_schema(proxy: RunningProxy, model: str, name: str) -> None:
    bounded = is_bounded(translated(name), translated(name))
    asked = {
        "model": model,
        "messages": MESSAGES,
        "stream": False,
        "format": SCHEMAS[name],
        "options": {"temperature": 0, "num_predict": ENOUGH if bounded else SOME},
    }
    response = proxy.http.post("/api/chat", json=asked)

    assert response.status_code == 200, response.text
    reply = response.json()
    text = reply["message"]["content"]
    if not bounded and reply["done_reason"] == "length":
        return
    assert reply["done_reason"] == "stop"
    schema = without(SCHEMAS[name], LOOSENED.get(name, set()))
    validator = jsonschema.validators.validator_for(schema, jsonschema.Draft202012Validator)
    validator(schema).validate(json.loads(text))
