"""Grammars that only a tool call matches, for a ``tool_choice`` that forces one.

The wheel's `ToolChoice` can't force a call. But it recognises a call by its text, so a grammar that
only allows that text has the same effect.
"""

import json

from embedded_engine.wire.bodies import Function, JsonObject, Tool

# Read by llguidance, which compiles the grammar: keywords and formats that it doesn't know are
# skipped, and there are no blanks between tokens, which a small model would write endlessly.
_GUIDANCE: JsonObject = {"x-guidance": {"lenient": True, "whitespace_flexible": False}}
_NO_ARGUMENTS: JsonObject = {"type": "object", "properties": {}}
# Keywords with which several schemas apply to one object, so that none may be closed on its own.
_COMBINING = ("$ref", "allOf", "anyOf", "oneOf", "if", "additionalProperties", "patternProperties")
_LOOKAROUND = ("(?=", "(?!", "(?<=", "(?<!")


def forced_call(tools: list[Tool]) -> JsonObject:
    """Return a grammar of the type ``llguidance`` that one call of any of ``tools`` matches.

    The arguments follow the tool's parameters. If the tool isn't strict, what a grammar can't
    express is left out of them.
    """
    functions = [tool.function for tool in tools]
    numbers = range(len(functions))
    rules = [f"start: {' | '.join(f'call_{number}' for number in numbers)}"]
    rules += [_rule(number, functions[number]) for number in numbers]
    arguments = [
        {"name": f"arguments_{number}", "json_schema": _arguments(functions[number])}
        for number in numbers
    ]
    return {"grammars": [{"lark_grammar": "\n".join(rules)}, *arguments]}


def _rule(number: int, function: Function) -> str:
    name = json.dumps(function.name, ensure_ascii=False)
    opening = json.dumps(f'{{"name": {name}, "arguments": ', ensure_ascii=False)
    return f'call_{number}: {opening} @arguments_{number} "}}"'


def _arguments(function: Function) -> JsonObject:
    if function.strict:
        return function.parameters or _NO_ARGUMENTS
    schema = _without_lookaround(function.parameters or _NO_ARGUMENTS)
    if not any(keyword in schema for keyword in _COMBINING):
        # Else the model could invent further arguments, and small ones do so endlessly.
        schema |= {"additionalProperties": False}
    return schema | _GUIDANCE


def _without_lookaround(schema: JsonObject) -> JsonObject:
    """Return a copy without the patterns that no grammar can express."""

    def kept(value: JsonObject) -> JsonObject:
        pattern = value.get("pattern")
        if isinstance(pattern, str) and any(mark in pattern for mark in _LOOKAROUND):
            return {key: item for key, item in value.items() if key != "pattern"}
        return value

    copy: JsonObject = json.loads(json.dumps(schema), object_hook=kept)
    return copy
