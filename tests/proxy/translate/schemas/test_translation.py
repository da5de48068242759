"""JSON Schemas, from the client's to the one that the engine makes a grammar of."""

import json
import time
from copy import deepcopy
from typing import Any

import pytest

from proxy_service.errors import InvalidRequest
from proxy_service.translate.schemas.references import MAX_SCHEMAS
from proxy_service.translate.schemas.translation import (
    OPTIONS,
    OPTIONS_KEYWORD,
    GrammarSchema,
    to_grammar_schema,
)
from proxy_service.wire import JsonObject

Schema = dict[str, Any]

LOW, HIGH = -9007199254740991, 9007199254740991
TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}


def an_object(*names: str, **keywords: object) -> Schema:
    """Return the schema of an object with these properties."""
    return {"type": "object", "properties": dict.fromkeys(names, TEXT)} | keywords


def closed(*names: str, **keywords: object) -> Schema:
    return an_object(*names, **keywords) | {"additionalProperties": False}


def translated(schema: JsonObject) -> GrammarSchema:
    """Translate a schema, without the options; check that the client's isn't changed."""
    before = deepcopy(schema)
    found = to_grammar_schema(schema)
    assert schema == before
    written = dict(found.schema)
    assert written.pop(OPTIONS_KEYWORD) == OPTIONS
    json.dumps(written, allow_nan=False)
    return GrammarSchema(written, found.loosened)


# Schemas that lose nothing, and what is sent for them.
KEPT: dict[str, tuple[Schema, Schema]] = {
    "an object with properties": (an_object("a"), closed("a")),
    "no properties": (an_object(), closed()),
    "any object": ({"type": "object"}, {"type": "object"}),
    "nested objects": (
        {"type": "array", "items": an_object("a")},
        {"type": "array", "items": closed("a")},
    ),
    "an object or null": (
        an_object("a") | {"type": ["object", "null"]},
        closed("a") | {"type": ["object", "null"]},
    ),
    "others allowed": (
        an_object("a", additionalProperties=True),
        an_object("a", additionalProperties=True),
    ),
    "others of a type": (
        an_object("a", additionalProperties=an_object("b")),
        an_object("a", additionalProperties=closed("b")),
    ),
    "unevaluated ones allowed": (
        an_object("a", unevaluatedProperties=FLAG),
        an_object("a", additionalProperties=FLAG),
    ),
    "unevaluated ones forbidden": (an_object("a", unevaluatedProperties=False), closed("a")),
    "a required name without a property": (
        an_object("a", required=["a", "b"]),
        {
            "type": "object",
            "properties": {"a": TEXT, "b": True},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    ),
    "required, as up to draft 3": (
        {"type": "object", "properties": {"a": TEXT | {"required": True}}, "required": True},
        closed("a"),
    ),
    "no type": (
        {"properties": {"a": {"pattern": "^x$"}}},
        closed()
        | {
            "properties": {"a": {"type": "string", "pattern": "^x$"}},
        },
    ),
    "annotations": (
        {"type": "string", "title": "A", "description": "B", "default": "c", "examples": ["d"]},
        TEXT,
    ),
    "unknown keywords": ({"type": "string", "x-order": 1, "nullable": True}, TEXT),
    "names like keywords": (
        an_object("not", "if", "$ref", "enum", "uniqueItems", "properties"),
        closed("not", "if", "$ref", "enum", "uniqueItems", "properties"),
    ),
    "values like schemas": (
        {"enum": [{"type": "object", "properties": {"a": {}}}, {"$ref": "#/nowhere"}]},
        {"enum": [{"type": "object", "properties": {"a": {}}}, {"$ref": "#/nowhere"}]},
    ),
    "a constant like a schema": (
        an_object("a", properties={"a": {"const": {"not": {}, "properties": {}}}}),
        closed("a", properties={"a": {"const": {"not": {}, "properties": {}}}}),
    ),
    "nothing": ({}, {}),
    # Numbers.
    "a whole number": (
        {"type": "integer"},
        {"type": "integer", "minimum": LOW, "maximum": HIGH},
    ),
    "a whole number or null": (
        {"type": ["integer", "null"]},
        {"type": ["integer", "null"], "minimum": LOW, "maximum": HIGH},
    ),
    "a bound on one side": (
        {"type": "integer", "exclusiveMinimum": 0},
        {"type": "integer", "exclusiveMinimum": 0, "maximum": HIGH},
    ),
    "bounds of 64 bits": (
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        {"type": "integer", "minimum": LOW, "maximum": HIGH},
    ),
    "bounds of a double": (
        {"type": "number", "minimum": -1.7976931348623157e308, "maximum": 3.4e38},
        {"type": "number", "minimum": LOW, "maximum": HIGH},
    ),
    "longer than 16 digits": (
        {"type": "integer", "minimum": 10**17},
        {"type": "integer", "minimum": 10**17},
    ),
    "bounds as up to draft 4": (
        {
            "type": "number",
            "minimum": 1,
            "exclusiveMinimum": True,
            "maximum": 2.5,
            "exclusiveMaximum": False,
        },
        {"type": "number", "exclusiveMinimum": 1, "maximum": 2.5},
    ),
    "any number": ({"type": "number"}, {"type": "number"}),
    "steps": (
        {"type": "number", "minimum": 0, "multipleOf": 0.01},
        {"type": "number", "minimum": 0, "multipleOf": 0.01},
    ),
    "whole numbers to choose from": (
        {"type": "integer", "enum": [1, 2**60]},
        {"type": "integer", "enum": [1, 2**60]},
    ),
    # Strings.
    "lengths": (
        {"type": "string", "minLength": 1.0, "maxLength": 20},
        {"type": "string", "minLength": 1, "maxLength": 20},
    ),
    "a format": (
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date-time", "maxLength": 35},
    ),
    "a format with a length": (
        {"type": "string", "format": "email", "minLength": 300},
        {"type": "string", "format": "email", "minLength": 300},
    ),
    "a pattern beside a format": (
        {"type": "string", "format": "time", "pattern": r"^\d\d:\d\d$"},
        {"type": "string", "pattern": r"^\d\d:\d\d$"},
    ),
    "a number's format": (
        {"type": "number", "format": "double"},
        {"type": "number"},
    ),
    # Arrays.
    "a tuple": (
        {"type": "array", "prefixItems": [TEXT, FLAG]},
        {"type": "array", "prefixItems": [TEXT, FLAG], "minItems": 2, "items": False},
    ),
    "a tuple with optional items": (
        {"type": "array", "prefixItems": [TEXT, FLAG], "minItems": 1, "items": FLAG},
        {"type": "array", "prefixItems": [TEXT, FLAG], "minItems": 1, "items": FLAG},
    ),
    "a tuple as up to draft 7": (
        {"type": "array", "items": [TEXT], "additionalItems": FLAG},
        {"type": "array", "prefixItems": [TEXT], "items": FLAG},
    ),
    "no items": (
        {"type": "array", "items": {"not": {}}, "uniqueItems": False},
        {"type": "array", "items": False},
    ),
    # Names.
    "names of a list": (
        {
            "type": "object",
            "propertyNames": {"enum": ["a", "b"]},
            "additionalProperties": FLAG,
            "required": ["a"],
        },
        closed(properties={name: {"$ref": "#/$defs/1"} for name in "ab"}, required=["a"])
        | {"$defs": {"1": FLAG}},
    ),
    "names of a pattern": (
        {"type": "object", "propertyNames": {"pattern": "^[a-z]$"}, "additionalProperties": FLAG},
        {"type": "object", "patternProperties": {"^[a-z]$": FLAG}, "additionalProperties": False},
    ),
    "short names": (
        {"type": "object", "propertyNames": {"type": "string", "maxLength": 3}},
        {
            "type": "object",
            "patternProperties": {r"^[\s\S]{0,3}$": True},
            "additionalProperties": False,
        },
    ),
    "any names": (
        {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": FLAG},
        {"type": "object", "additionalProperties": FLAG},
    ),
    "properties by pattern": (
        {"type": "object", "patternProperties": {"^x-": FLAG}},
        {"type": "object", "patternProperties": {r"^x\-": FLAG}, "additionalProperties": False},
    ),
    "at least one property": (
        an_object("a", "b", minProperties=1),
        closed("a", "b", minProperties=1),
    ),
    "a bounded dictionary": (
        {"type": "object", "minProperties": 1, "maxProperties": 2},
        {"type": "object", "minProperties": 1, "maxProperties": 2},
    ),
    # Parts.
    "options": (
        {"anyOf": [an_object("a"), an_object("b"), {"type": "null"}]},
        {"anyOf": [closed("a"), closed("b"), {"type": "null"}]},
    ),
    "a discriminated union": (
        {"oneOf": [an_object("a"), an_object("b")], "discriminator": {"propertyName": "x"}},
        {"anyOf": [closed("a"), closed("b")]},
    ),
    "one part": ({"allOf": [an_object("a")], "title": "A"}, {"allOf": [closed("a")]}),
    "two parts": (
        {"allOf": [an_object("a"), an_object("b")]},
        {
            "allOf": [an_object("a"), an_object("b")],
            "properties": {"b": True, "a": True},
            "additionalProperties": False,
        },
    ),
    "one part that forbids others": (
        {"allOf": [an_object("a"), closed("b")], "properties": {"c": TEXT}},
        {
            "allOf": [an_object("a"), an_object("b")],
            "type": "object",
            "properties": {"c": False, "b": True},
            "additionalProperties": False,
        },
    ),
    "a part that allows others": (
        an_object("a", allOf=[an_object("b", additionalProperties=True)]),
        an_object("a", allOf=[an_object("b", additionalProperties=True)]),
    ),
    "options beside properties": (
        an_object("a", "b", anyOf=[{"required": ["a"]}, {"required": ["b"]}]),
        closed("a", "b", anyOf=[{"required": ["a"]}, {"required": ["b"]}]),
    ),
    "several patterns": (
        {"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "b$"}]},
        {
            "type": "string",
            "allOf": [
                {"type": "string", "pattern": "^a"},
                {"type": "string", "pattern": "b$"},
            ],
        },
    ),
    "nothing matches": ({"not": {}}, {"enum": []}),
    "a property that can't be": (
        an_object("a", properties={"a": {"not": {}}, "b": TEXT}),
        closed("a", properties={"a": False, "b": TEXT}),
    ),
    # References.
    "a definition": (
        {"$defs": {"A": an_object("a"), "unused": {"not": 1}}, "items": {"$ref": "#/$defs/A"}},
        {"type": "array", "items": {"$ref": "#/$defs/1"}, "$defs": {"1": closed("a")}},
    ),
    "a definition as up to draft 7": (
        {"definitions": {"A": TEXT}, "$ref": "#/definitions/A"},
        {"$ref": "#/$defs/1", "$defs": {"1": TEXT}},
    ),
    "a definition anywhere, with an unusual name": (
        {"x": {"a/b c": [FLAG, TEXT]}, "$ref": "#/x/a~1b%20c/1"},
        {"$ref": "#/$defs/1", "$defs": {"1": TEXT}},
    ),
    "recursion": (
        an_object("a", properties={"a": {"$ref": "#"}}),
        {
            "$ref": "#/$defs/1",
            "$defs": {"1": closed("a", properties={"a": {"$ref": "#/$defs/1"}})},
        },
    ),
    "a reference with its type": (
        an_object("a", properties={"a": {"type": "object", "$ref": "#"}}),
        {
            "$ref": "#/$defs/1",
            "$defs": {"1": closed("a", properties={"a": {"$ref": "#/$defs/1"}})},
        },
    ),
    "a reference used alone and as a part": (
        {
            "$defs": {"A": an_object("a")},
            "type": "object",
            "properties": {
                "alone": {"$ref": "#/$defs/A", "description": "An A"},
                "part": {"$ref": "#/$defs/A", "properties": {"b": TEXT}},
            },
        },
        {
            "type": "object",
            "properties": {
                "alone": {"$ref": "#/$defs/1"},
                "part": {
                    "type": "object",
                    "$ref": "#/$defs/1.open",
                    "properties": {"b": TEXT, "a": True},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
            "$defs": {"1.open": an_object("a"), "1": closed("a")},
        },
    ),
    "a reference to a boolean": (
        {"$defs": {"A": True, "B": False}, "anyOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]},
        {"anyOf": [{"allOf": [True]}, {"allOf": [False]}]},
    ),
}

# Schemas that lose something: the keywords, and what is sent.
LOOSENED: dict[str, tuple[Schema, set[str], Schema]] = {
    "sets": (
        {"type": "array", "items": TEXT, "uniqueItems": True},
        {"uniqueItems"},
        {"type": "array", "items": TEXT},
    ),
    "conditions": (
        an_object(
            "a",
            **{"not": {"required": ["b"]}, "if": {}, "then": {}, "else": {}},
            dependentRequired={"a": ["b"]},
            dependentSchemas={"a": {}},
            dependencies={"a": ["b"]},
        ),
        {"not", "if", "dependentRequired", "dependentSchemas", "dependencies"},
        closed("a"),
    ),
    "contents": (
        {"type": "array", "contains": TEXT, "minContains": 1},
        {"contains"},
        {"type": "array"},
    ),
    "dynamic references": ({"$dynamicRef": "#x"}, {"$dynamicRef"}, {}),
    "an unknown format": ({"type": "string", "format": "uri"}, {"format"}, TEXT),
    "a pattern that looks ahead": (
        {"type": "string", "pattern": r"^(?!.*W)P\d+$", "format": "duration"},
        {"pattern"},
        {"type": "string", "pattern": r"^P\d+$", "format": "duration", "maxLength": 32},
    ),
    "a pattern that isn't one": (
        {"type": "string", "pattern": "(", "format": "x"},
        {"pattern", "format"},
        TEXT,
    ),
    "steps that can't be counted": (
        {
            "anyOf": [
                {"type": "number", "multipleOf": step}
                for step in (0, 0.07, 1_000_003, 10**400, 1e-300, True, "1")
            ]
        },
        {"multipleOf"},
        {"anyOf": [{"type": "number"}] * 7},
    ),
    "negative steps": (
        {"type": "integer", "multipleOf": 5, "maximum": -5},
        {"multipleOf"},
        {"type": "integer", "minimum": LOW, "maximum": -5},
    ),
    "a bound beyond 64 bits": (
        {"type": "integer", "minimum": 10**20},
        {"minimum"},
        {"type": "integer", "minimum": LOW, "maximum": HIGH},
    ),
    "a value that ends the engine": (
        {
            "anyOf": [
                {"const": -(2**63)},
                {"enum": [1, [{"a": -(2**63)}]]},
                {"const": -(2**63) + 512},  # the same as a double
                {"const": -1e30},
            ]
        },
        {"const", "enum"},
        {"anyOf": [{}, {}, {}, {}]},
    ),
    "lengths beyond 32 bits": (
        {"type": "string", "minLength": 2**32, "maxLength": 10**30},
        {"minLength", "maxLength"},
        TEXT,
    ),
    "too many items": (
        {"type": "array", "minItems": 10**9, "maxItems": 10**9},
        {"minItems", "maxItems"},
        {"type": "array"},
    ),
    "too many items in all": (
        {"anyOf": [{"type": "array", "maxItems": 9_000}, {"type": "array", "maxItems": 2_000}]},
        {"maxItems"},
        {"anyOf": [{"type": "array"}, {"type": "array", "maxItems": 2_000}]},
    ),
    "a number of optional properties": (
        an_object("a", "b", "c", minProperties=2, maxProperties=2),
        {"minProperties", "maxProperties"},
        closed("a", "b", "c"),
    ),
    "several patterns of names": (
        {"type": "object", "patternProperties": {"^a": TEXT, "b$": FLAG}},
        {"patternProperties"},
        {
            "type": "object",
            "patternProperties": {"(?:^a)|(?:b$)": {"anyOf": [TEXT, FLAG]}},
            "additionalProperties": False,
        },
    ),
    "names by a pattern that isn't one": (
        {"type": "object", "patternProperties": {"(": TEXT}},
        {"pattern"},
        {"type": "object", "additionalProperties": TEXT},
    ),
    "names of a format": (
        {"type": "object", "propertyNames": {"format": "uuid"}, "additionalProperties": FLAG},
        {"propertyNames"},
        {"type": "object", "additionalProperties": FLAG},
    ),
    "names beside properties": (
        an_object("a", propertyNames={"maxLength": 3}),
        {"propertyNames"},
        closed("a"),
    ),
    "a required name that is forbidden": (
        closed("a", required=["a", "b"]),
        {"required"},
        closed("a", required=["a"]),
    ),
    "parts that exclude each other": (  # as releases of Zod before 4.2 write intersections
        {"allOf": [closed("a", required=["a"]), closed("b", required=["b"])]},
        {"additionalProperties"},
        {
            "allOf": [an_object("a", required=["a"]), an_object("b", required=["b"])],
            "properties": {"b": True, "a": True},
            "additionalProperties": False,
        },
    ),
    "names by pattern in a part": (
        an_object("a", allOf=[{"patternProperties": {"^b": TEXT}, "minProperties": 1}]),
        {"patternProperties", "minProperties"},
        closed("a", allOf=[{"type": "object"}]),
    ),
    "options that may overlap": (
        {"oneOf": [TEXT, FLAG], "anyOf": [TEXT]},
        {"oneOf"},
        {"anyOf": [TEXT], "allOf": [{"anyOf": [TEXT, FLAG]}]},
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_schema_that_keeps_its_meaning(name: str) -> None:
    schema, expected = KEPT[name]

    assert translated(schema) == GrammarSchema(expected)


@pytest.mark.parametrize("name", LOOSENED)
def test_a_schema_that_is_loosened(name: str) -> None:
    schema, loosened, expected = LOOSENED[name]

    assert translated(schema) == GrammarSchema(expected, frozenset(loosened))


@pytest.mark.parametrize("name", [*KEPT, *LOOSENED])
def test_a_translated_schema_holds_only_what_the_grammar_does(name: str) -> None:
    schema = (KEPT | LOOSENED)[name][0]

    assert translated(translated(schema).schema).loosened == frozenset()


def test_properties_keep_their_order() -> None:
    """Those of a part that is mentioned first come first."""
    base: Schema = {"allOf": [an_object("a")], "properties": {"b": TEXT}}
    assert list(translated(base).schema) == ["type", "allOf", "properties", "additionalProperties"]
    own: Schema = {"properties": {"b": TEXT}, "allOf": [an_object("a")]}
    assert list(translated(own).schema) == ["type", "properties", "additionalProperties", "allOf"]
    many: Schema = {"type": "object", "properties": dict.fromkeys("zyxabc", TEXT)}
    assert "".join(translated(many).schema["properties"]) == "zyxabc"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nope"},
        {"type": 5},
        {"type": []},
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": 5}},
        {"type": "array", "items": "x", "prefixItems": 1, "minItems": -1},
        {"type": "string", "pattern": 1, "minLength": "x", "maxLength": 1.5},
        {"type": "integer", "minimum": "x", "exclusiveMaximum": []},
        {"anyOf": 1},
        {"allOf": {}},
        {"enum": 1},
        {"additionalProperties": 1},
        {"propertyNames": 1},
    ],
    ids=str,
)
def test_what_isnt_a_schema_is_left_for_the_engine_to_refuse(schema: Schema) -> None:
    """The values are the client's, as far as they are written."""
    for keyword, value in translated(schema).schema.items():
        assert value == schema.get(keyword, value)


@pytest.mark.parametrize("value", [None, 1, "x", [], [1], {}, {"a": {}}, True, -1.5, 10**400])
def test_any_value_of_any_keyword_is_translated(value: object) -> None:
    """Alone, in a property, and as a part of another schema."""
    keywords = (
        *("type", "const", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("multipleOf", "pattern", "format", "minLength", "maxLength", "items", "prefixItems"),
        *("additionalItems", "unevaluatedItems", "minItems", "maxItems", "uniqueItems", "contains"),
        *("properties", "patternProperties", "additionalProperties", "propertyNames", "required"),
        *("unevaluatedProperties", "minProperties", "maxProperties", "not", "if", "$defs"),
        *("allOf", "anyOf", "oneOf", "dependentRequired", "x-guidance", "$schema", "$id"),
    )
    for keyword in keywords:
        schema: Schema = {keyword: value}
        to_grammar_schema(schema)
        to_grammar_schema({"properties": {"a": schema}})
        to_grammar_schema({"allOf": [schema, an_object("b")]})


@pytest.mark.parametrize(
    "reference", ["#/$defs/B", "#/a/9", "#/a/x", "#A", "A", "https://example.com/a", "/$defs/A"]
)
def test_a_reference_to_nothing_is_refused(reference: str) -> None:
    schema: Schema = {"$defs": {"A": {}}, "a": [{}], "items": {"$ref": reference}}

    with pytest.raises(InvalidRequest, match="refers to nothing"):
        to_grammar_schema(schema)


def test_a_schema_may_refer_to_itself_in_every_way() -> None:
    schemas: list[Schema] = [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"allOf": [{"$ref": "#"}, {"properties": {"a": {"$ref": "#"}}}]},
        {"propertyNames": {"$ref": "#/propertyNames"}},
        {"anyOf": [{"$ref": "#"}, {"items": {"$ref": "#/anyOf/1"}}]},
    ]
    for schema in schemas:
        to_grammar_schema(schema)


def test_long_patterns_are_left_out_once_there_are_many() -> None:
    schema = an_object(properties={f"a{i}": {"pattern": f"^{i}{'b' * 3_000}$"} for i in range(4)})
    schema["properties"] |= {f"b{i}": {"pattern": "^c$"} for i in range(600)}

    found = translated(schema)

    properties: Any = found.schema["properties"]
    assert found.loosened == {"pattern"}
    assert sum("pattern" in value for value in properties.values()) == 2 + 600


def nested(levels: int, keyword: str) -> Schema:
    schema: Schema = {"type": "integer"}
    for _ in range(levels):
        schema = {keyword: [schema, {}] if keyword.endswith("Of") else schema}
    return schema


@pytest.mark.parametrize("keyword", ["items", "additionalProperties", "allOf", "anyOf", "not"])
def test_depth_doesnt_matter(keyword: str) -> None:
    """The JSON of a request has at most 256 levels, but nothing here depends on that."""
    to_grammar_schema(nested(900, keyword))


def test_a_schema_of_too_many_schemas_is_refused() -> None:
    schema: Schema = {"anyOf": [{"type": "null"} for _ in range(MAX_SCHEMAS - 1)]}
    to_grammar_schema(schema)
    schema["anyOf"].append({"type": "null"})

    with pytest.raises(InvalidRequest, match=str(MAX_SCHEMAS)):
        to_grammar_schema(schema)


def size(schema: JsonObject) -> int:
    return len(json.dumps(schema))


def shared(parts: int, names: int) -> Schema:
    """Return a schema in which many parts refer to one that has many names."""
    return {
        "$defs": {"A": an_object(*(f"name{i}" for i in range(names)))},
        "properties": {
            f"p{i}": {"allOf": [{"$ref": "#/$defs/A"}, an_object("x")]} for i in range(parts)
        },
    }


@pytest.mark.parametrize(
    "schema",
    [
        shared(400, 800),
        {  # each level refers twice to the next
            "$defs": {
                f"A{i}": {"allOf": [{"$ref": f"#/$defs/A{i + 1}"}, {"$ref": f"#/$defs/A{i + 1}"}]}
                for i in range(500)
            }
            | {"A500": an_object("a")},
            "$ref": "#/$defs/A0",
        },
        {  # a large schema for each of many names
            "propertyNames": {"enum": [f"name{i}" for i in range(2_000)]},
            "additionalProperties": an_object(*(f"name{i}" for i in range(2_000))),
        },
        {  # references into each other
            "properties": {
                f"p{i}": {"items": {"$ref": f"#/properties/p{i - 1}"}, "title": "x"}
                for i in range(1, 600)
            }
            | {"p0": an_object("a")},
        },
    ],
    ids=["shared part", "doubling", "many names", "chain"],
)
def test_a_translation_isnt_much_larger_than_its_schema(schema: Schema) -> None:
    assert size(translated(schema).schema) < 25 * size(schema)


def test_the_work_is_bounded() -> None:
    """A schema that would take hours if parts were copied takes far less than a minute."""
    started = time.process_time()
    to_grammar_schema(nested(900, "allOf") | {"properties": {f"p{i}": {} for i in range(900)}})
    to_grammar_schema(shared(400, 800))

    assert time.process_time() - started < 60


@pytest.mark.parametrize(
    "repeated",
    [
        {"properties": {"b": {}}, "required": [f"r{number}" for number in range(3000)]},
        {"properties": {"b" * 30_000: {}}},
    ],
)
def test_names_that_combined_schemas_repeat_are_limited(repeated: dict[str, Any]) -> None:
    """50 KB would otherwise become tens of megabytes."""
    combined = {"allOf": [{"$ref": "#/$defs/a"}], "properties": {"c": {}}}
    properties = {str(number): combined for number in range(500)}
    made = to_grammar_schema({"$defs": {"a": repeated}, "properties": properties})

    assert len(json.dumps(made.schema)) < 8_000_000
    assert "properties" in made.loosened
