"""Whether a text that matches a schema can only be short."""

import re
from typing import Any

# In a pattern, what may match a text without end.
_ENDLESS = re.compile(r"[*+]|\{\d+,\}|(?<!\\)\.")


def is_bounded(schema: Any, root: dict[str, Any]) -> bool:  # noqa: ANN401  any JSON
    """Return whether a translated schema bounds all that it contains; recursion doesn't count."""
    if not isinstance(schema, dict) or "const" in schema or "enum" in schema:
        return schema is not True
    if "$ref" in schema:
        definition = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
        return "$ref" not in str(definition) and is_bounded(definition, root)
    if "anyOf" in schema:
        return all(is_bounded(option, root) for option in schema["anyOf"])
    kind = schema.get("type")
    if kind in ("array", "object"):
        parts = _items(schema) if kind == "array" else _members(schema)
        return all(is_bounded(part, root) for part in parts)
    return _is_short(schema) if kind == "string" else kind in ("integer", "boolean", "null")


def _items(schema: dict[str, Any]) -> list[Any]:
    """Return the schemas of the items; True if their number isn't bounded."""
    items = schema.get("items", True)
    limited = "maxItems" in schema or items is False
    return [*schema.get("prefixItems", ()), items] if limited else [True]


def _members(schema: dict[str, Any]) -> list[Any]:
    patterns = [True] if "patternProperties" in schema else []
    return [
        *schema.get("properties", {}).values(),
        *patterns,
        schema.get("additionalProperties", True) is not False,
    ]


def _is_short(schema: dict[str, Any]) -> bool:
    pattern = schema.get("pattern", ".")
    anchored = pattern.startswith("^") and pattern.endswith("$")
    return "maxLength" in schema or (anchored and not _ENDLESS.search(pattern))
