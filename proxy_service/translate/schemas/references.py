"""Schemas that refer to each other, and the order in which they are written.

Every schema that a ``$ref`` refers to becomes a definition, which all references share, so that the
work is proportional to the client's schema. Nothing recurses: what contains a schema gets an empty
object at once, which is filled later.
"""

import re
from collections.abc import Iterable, Iterator
from typing import cast

from proxy_service.errors import InvalidRequest
from proxy_service.translate.schemas.keywords import SCHEMA_MAPS, SCHEMAS
from proxy_service.wire import JsonObject

# More than fit into the prompts of most models; Mistral.rs refuses some times as many.
MAX_SCHEMAS = 2_000

_ESCAPED_BYTES = re.compile("(?:%[0-9a-fA-F]{2})+")
_LONGEST_INDEX = 9
_LONGEST_SHOWN = 100


class References:
    """The schemas of one document.

    Attributes:
        definitions: What has been referred to so far, translated or yet to be filled.
        left: What is left to fill: a schema, what to fill, and whether it stays open.
    """

    def __init__(self, root: JsonObject) -> None:
        self.definitions: JsonObject = {}
        self.left: list[tuple[JsonObject, JsonObject, bool]] = []
        self._root = root
        self._names: dict[int, str] = {}
        self._targets: dict[str, object] = {}
        self._find_targets()

    def _find_targets(self) -> None:
        """Name everything that is referred to, before anything is written."""
        left = [self._root]
        seen = {id(self._root)}
        while left:
            schema = left.pop()
            found: Iterable[object] = _subschemas(schema)
            if "$ref" in schema:
                target = self.target(schema["$ref"])
                if isinstance(target, dict):
                    self._name(target)
                found = (target, *found)
            for item in found:
                if isinstance(item, dict) and item and id(item) not in seen:
                    seen.add(id(item))
                    left.append(item)
            if len(seen) > MAX_SCHEMAS:
                raise InvalidRequest(
                    f"invalid JSON schema in format: it contains more than {MAX_SCHEMAS} schemas; "
                    "use a smaller one"
                )

    def _name(self, schema: JsonObject) -> None:
        self._names.setdefault(id(schema), str(len(self._names) + 1))

    def target(self, reference: object) -> object:
        """Return what a ``$ref`` refers to, a JSON pointer (RFC 6901) within the document.

        Raises:
            InvalidRequest: There is no schema.
        """
        if not isinstance(reference, str):
            return reference
        if reference not in self._targets:
            self._targets[reference] = _resolved(self._root, reference)
        return self._targets[reference]

    def definition(self, schema: object) -> object:
        """Return a reference to a schema that is needed often."""
        if isinstance(schema, dict):
            self._name(schema)
        return self.child(schema)

    def child(self, schema: object, *, is_open: bool = False) -> object:
        """Return what will be the translation of a schema once nothing is left to fill.

        What isn't a schema is returned as it is, for the engine to refuse.
        """
        if not isinstance(schema, dict) or not schema:
            return schema
        if "not" in schema and schema["not"] in ({}, True):
            return False  # Zod writes it so.
        name = self._names.get(id(schema))
        if name is None:
            written: JsonObject = {}
            self.left.append((schema, written, is_open))
            return written
        if is_open:
            name += ".open"
        if name not in self.definitions:
            self.definitions[name] = definition = cast("JsonObject", {})
            self.left.append((schema, definition, is_open))
        return {"$ref": f"#/$defs/{name}"}


def _subschemas(schema: JsonObject) -> Iterator[object]:
    for keyword, value in schema.items():
        if keyword in SCHEMAS:
            if isinstance(value, list):
                yield from value
            else:
                yield value
        elif keyword in SCHEMA_MAPS and isinstance(value, dict):
            yield from value.values()


def _resolved(root: JsonObject, reference: str) -> object:
    start, *segments = reference.split("/")
    place: object = root if start == "#" else None
    for segment in segments if segments != [""] else ():
        place = _step(place, segment)
    if not isinstance(place, dict | bool):
        raise InvalidRequest(
            f'invalid JSON schema in format: $ref "{reference[:_LONGEST_SHOWN]}" refers to nothing '
            'in it; use the form "#/$defs/NAME"'
        )
    return place


def _step(place: object, segment: str) -> object:
    if isinstance(place, dict) and segment in place:
        return place[segment]
    key = _ESCAPED_BYTES.sub(_decoded, segment).replace("~1", "/").replace("~0", "~")
    if isinstance(place, dict):
        return place.get(key)
    if isinstance(place, list) and key.isdecimal() and len(key) <= _LONGEST_INDEX:
        return place[int(key)] if int(key) < len(place) else None
    return None


def _decoded(escaped: re.Match[str]) -> str:
    return bytes.fromhex(escaped[0].replace("%", "")).decode(errors="replace")
