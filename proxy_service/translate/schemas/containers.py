"""The keywords about arrays and objects.

Each function writes what the grammar can hold of a schema's keywords into ``own``. A schema is
``alone`` if no other applies to the same value; only then can it be closed.
"""

from typing import cast

from proxy_service.translate.schemas.keywords import ANNOTATIONS
from proxy_service.translate.schemas.notes import Notes
from proxy_service.translate.schemas.references import References
from proxy_service.wire import JsonObject

# The grammar has a rule for each item that `maxItems` allows.
MAX_ITEMS = 10_000
# It writes an object once for each optional property if their number is restricted.
_MAX_CHOICES = 32
_MAX_LENGTH = 2**32 - 1


def write_array(
    schema: JsonObject, own: JsonObject, references: References, notes: Notes, *, alone: bool
) -> None:
    """Write items and their number; a tuple has all of its items and, if alone, no others."""
    prefix, rest = schema.get("prefixItems"), schema.get("items")
    if isinstance(rest, list):  # as up to draft 2019-09
        prefix, rest = rest, schema.get("additionalItems")
    unevaluated = schema.get("unevaluatedItems")
    if rest is None and alone:
        rest = unevaluated
    elif unevaluated not in (None, True):
        notes.loosened.add("unevaluatedItems")
    if schema.get("uniqueItems"):
        notes.loosened.add("uniqueItems")
    for keyword in ("minItems", "maxItems"):
        left = MAX_ITEMS - notes.items
        notes.items += max(0, notes.count(schema, keyword, own, at_most=left))
    if isinstance(prefix, list) and prefix:
        own["prefixItems"] = [references.child(item) for item in prefix]
        if rest is None and alone:
            rest = False
            own.setdefault("minItems", len(prefix))
    elif prefix is not None:
        own["prefixItems"] = prefix
    if rest is not None:
        own["items"] = references.child(rest)


def write_object(
    schema: JsonObject, own: JsonObject, references: References, notes: Notes, *, alone: bool
) -> None:
    """Write properties and what is said about their names."""
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict):
        own["properties"] = {name: references.child(item) for name, item in properties.items()}
    elif properties is not None:
        own["properties"] = properties
    if isinstance(required, list):
        own["required"] = [name for name in required if isinstance(name, str)]
    if alone:
        _Names(schema, own, references, notes).write()
        return
    # The grammar refuses patterns that two parts have, and counts only within one of them.
    for keyword in ("patternProperties", "propertyNames", "minProperties", "maxProperties"):
        if schema.get(keyword) is not None:
            notes.loosened.add(keyword)
    others = schema.get("additionalProperties")
    if others not in (None, False):
        own["additionalProperties"] = references.child(others)


class _Names:
    """What a schema that is alone says about the names of properties."""

    def __init__(
        self, schema: JsonObject, own: JsonObject, references: References, notes: Notes
    ) -> None:
        self._schema = schema
        self._own = own
        self._references = references
        self._notes = notes

    def write(self) -> None:
        others = self._schema.get("additionalProperties")
        if others is None:
            others = self._schema.get("unevaluatedProperties")
        patterns = self._schema.get("patternProperties")
        if self._write_names(True if others is None else others):
            others = False
        elif isinstance(patterns, dict) and patterns:
            others = self._write_patterns(patterns, others)
        if others is not None:
            self._own["additionalProperties"] = self._references.child(others)
        elif not self._own.keys().isdisjoint({"properties", "patternProperties"}):
            self._own["additionalProperties"] = False
        self._require_what_is_possible()
        self._write_sizes()

    def _write_names(self, others: object) -> bool:
        """Write ``propertyNames`` as properties or as a pattern; return whether that is done."""
        names = self._schema.get("propertyNames")
        if names is None:
            return False
        seen: set[int] = set()
        while isinstance(names, dict) and "$ref" in names and id(names) not in seen:
            seen.add(id(names))
            names = self._references.target(names["$ref"])
        if names is True or (isinstance(names, dict) and not names.keys() - ANNOTATIONS):
            return False
        if isinstance(names, dict) and "properties" not in self._own:
            values = names.get("enum", [names["const"]] if "const" in names else None)
            if isinstance(values, list) and all(isinstance(value, str) for value in values):
                self._own["properties"] = {
                    value: self._references.definition(others) for value in values
                }
                return True
            pattern = self._pattern_of(names)
            if pattern is not None:
                self._own["patternProperties"] = {pattern: self._references.child(others)}
                return True
        self._notes.loosened.add("propertyNames")
        return False

    def _pattern_of(self, names: JsonObject) -> str | None:
        rest = names.keys() - ANNOTATIONS
        pattern = names.get("pattern")
        if isinstance(pattern, str) and rest <= {"pattern", "format"}:
            return self._notes.pattern(pattern).text
        lengths: JsonObject = {}
        low = self._notes.count(names, "minLength", lengths, at_most=_MAX_LENGTH)
        high = self._notes.count(names, "maxLength", lengths, at_most=_MAX_LENGTH)
        if not lengths or rest - lengths.keys() or min(low, high) < 0:
            return None
        return f"^[\\s\\S]{{{low},{high if 'maxLength' in lengths else ''}}}$"

    def _write_patterns(self, patterns: JsonObject, others: object) -> object:
        """Write ``patternProperties``; return what applies to the remaining names."""
        texts = [self._notes.pattern(pattern).text for pattern in patterns]
        schemas = [self._references.child(schema) for schema in patterns.values()]
        if len(schemas) > 1:
            # The grammar refuses patterns that might match the same name.
            self._notes.loosened.add("patternProperties")
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        known = [text for text in texts if text is not None]
        if len(known) < len(texts):
            self._own["additionalProperties"] = schema
            return None
        joined = known[0] if len(known) == 1 else f"(?:{')|(?:'.join(known)})"
        self._own["patternProperties"] = {joined: schema}
        return others

    def _require_what_is_possible(self) -> None:
        own, required = self._own, cast("list[str]", self._own.get("required", ()))
        properties = own.get("properties")
        if not required or not isinstance(properties, dict):
            return
        missing = [name for name in required if name not in properties]
        if not missing or own.get("additionalProperties") is not False:
            return
        if False in (
            self._schema.get("additionalProperties"),
            self._schema.get("unevaluatedProperties"),
        ):
            # No object would match. Ollama requires only names that have a property.
            self._notes.loosened.add("required")
            own["required"] = [name for name in required if name in properties]
        elif "patternProperties" in own:
            del own["additionalProperties"]
        else:
            properties.update(dict.fromkeys(missing, True))

    def _write_sizes(self) -> None:
        sizes: JsonObject = {}
        for keyword in ("minProperties", "maxProperties"):
            self._notes.count(self._schema, keyword, sizes, at_most=MAX_ITEMS)
        properties = self._own.get("properties")
        if not sizes or not isinstance(properties, dict):
            self._own.update(sizes)
            return
        required = cast("list[str]", self._own.get("required", ()))
        optional = properties.keys() - set(required)
        closed = self._own.get("additionalProperties") is False
        closed = closed and "patternProperties" not in self._own
        simple = sizes.get("minProperties", 0) in (0, 1) and sizes.get("maxProperties", 1) == 1
        if not optional or (simple and closed and len(optional) <= _MAX_CHOICES):
            self._own.update(sizes)
        else:
            self._notes.loosened.update(sizes)
