"""Translates one schema, keyword by keyword."""

from dataclasses import dataclass
from typing import cast

from proxy_service.translate.schemas.conjunctions import close, is_conjunction
from proxy_service.translate.schemas.containers import write_array, write_object
from proxy_service.translate.schemas.keywords import (
    ANNOTATIONS,
    ARRAYS,
    IN_PLACE,
    KINDS,
    MISSING,
    NUMBERS,
    OBJECTS,
    TEXTS,
    VALUES,
)
from proxy_service.translate.schemas.notes import Notes
from proxy_service.translate.schemas.references import References
from proxy_service.translate.schemas.scalars import write_numbers, write_text, write_values
from proxy_service.wire import JsonObject

# How the grammar's options are written, at the root of a schema. Other engines ignore them.
OPTIONS_KEYWORD = "x-guidance"
OPTIONS: JsonObject = {"whitespace_flexible": False, "lenient": True}


@dataclass(frozen=True, slots=True)
class GrammarSchema:
    """A schema for the engine, and the keywords of the original that it doesn't fully enforce."""

    schema: JsonObject
    loosened: frozenset[str] = frozenset()


def to_grammar_schema(schema: JsonObject) -> GrammarSchema:
    """Translate a client's schema; what isn't valid in it is left for the engine to refuse.

    Raises:
        InvalidRequest: It is too large, or a ``$ref`` refers to nothing; status 400.
    """
    translation = _Translation(schema)
    written = translation.run(schema)
    return GrammarSchema(written, frozenset(translation.notes.loosened))


class _Translation:
    def __init__(self, root: JsonObject) -> None:
        self.notes = Notes()
        self._references = References(root)

    def run(self, root: JsonObject) -> JsonObject:
        child = self._references.child(root)
        while self._references.left:
            part, written, is_open = self._references.left.pop()
            self._write(part, written, is_open=is_open)
        whole: JsonObject = {"enum": []} if child is False else cast("JsonObject", child)
        if self._references.definitions:
            whole = whole | {"$defs": self._references.definitions}
        return whole | {OPTIONS_KEYWORD: OPTIONS}

    def _write(self, schema: JsonObject, written: JsonObject, *, is_open: bool) -> None:
        keywords = schema.keys() - ANNOTATIONS
        kind = schema.get("type")
        if kind is None:
            kind = _implied_type(keywords)
        if kind is not None and not self._is_said_twice(schema, keywords):
            written["type"] = kind
        kinds = kind if isinstance(kind, list) else [kind]
        together = not IN_PLACE.isdisjoint(keywords) and is_conjunction(schema)
        own = self._own(schema, keywords, kinds, alone=not (together or is_open))
        if together and not is_open:
            close(schema, own, self._references, self.notes)
        if IN_PLACE.isdisjoint(keywords):
            written.update(own)
            return
        in_place = self._in_place(schema, is_open=is_open or together)
        # The properties of a reply are in the order in which the schema has them.
        first = next(key for key in schema if key in IN_PLACE or key == "properties")
        written.update(own | in_place if first == "properties" else in_place | own)

    def _own(
        self, schema: JsonObject, keywords: set[str], kinds: list[object], *, alone: bool
    ) -> JsonObject:
        """Write the keywords that say something about the value themselves."""
        own: JsonObject = {}
        if not VALUES.isdisjoint(keywords):
            write_values(schema, own, self.notes)
        if "integer" in kinds or not NUMBERS.isdisjoint(keywords):
            write_numbers(schema, own, kinds, self.notes)
        if not TEXTS.isdisjoint(keywords):
            write_text(schema, own, kinds, self.notes)
        if not ARRAYS.isdisjoint(keywords):
            write_array(schema, own, self._references, self.notes, alone=alone)
        if not OBJECTS.isdisjoint(keywords):
            write_object(schema, own, self._references, self.notes, alone=alone)
        if not MISSING.isdisjoint(keywords):
            self.notes.loosened |= MISSING & keywords
        return own

    def _is_said_twice(self, schema: JsonObject, keywords: set[str]) -> bool:
        """Return whether a ``$ref`` gives the type too.

        Beside other keywords, a reference can't refer to what contains it.
        """
        if keywords != {"$ref"}:
            return False
        target = self._references.target(schema["$ref"])
        return isinstance(target, dict) and target.get("type") == schema["type"]

    def _in_place(self, schema: JsonObject, *, is_open: bool) -> JsonObject:
        """Write the keywords whose schemas apply to the same value."""
        written: JsonObject = {}
        all_of: list[object] = []
        if "$ref" in schema:
            target = self._references.target(schema["$ref"])
            reference = self._references.child(target, is_open=is_open)
            if isinstance(reference, dict):
                written.update(reference)
            else:
                all_of.append(reference)
        for keyword in ("allOf", "anyOf", "oneOf"):
            options = schema.get(keyword)
            if not isinstance(options, list):
                if options is not None:
                    written[keyword] = options
                continue
            children = [self._references.child(option, is_open=is_open) for option in options]
            if keyword == "allOf":
                all_of += children
            elif "anyOf" in written:
                all_of.append({"anyOf": children})
            else:
                written["anyOf"] = children
        # The options of a discriminated union exclude each other.
        if "oneOf" in schema and "discriminator" not in schema:
            self.notes.loosened.add("oneOf")
        return written | ({"allOf": all_of} if all_of else {})


def _implied_type(keywords: set[str]) -> str | None:
    """Return the type that all keywords are about, if there is one; Ollama assumes it."""
    if not keywords or not VALUES.isdisjoint(keywords):
        return None
    kinds = [kind for kind, words in KINDS.items() if not words.isdisjoint(keywords)]
    return kinds[0] if len(kinds) == 1 else None
