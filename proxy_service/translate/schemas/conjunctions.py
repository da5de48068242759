"""Schemas with several parts that apply to one value together.

Such parts are the schema's own keywords, its ``allOf``, its ``$ref`` and one of its ``anyOf``. They
can't be closed one by one, because no object would match two of them. They are left open, and the
schema is closed around the names that any of them has.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from proxy_service.translate.schemas.keywords import IN_PLACE, MEMBERS
from proxy_service.translate.schemas.notes import MAX_NAMES, ORDINARY_NAME, Notes
from proxy_service.translate.schemas.references import References
from proxy_service.wire import JsonObject


def is_conjunction(schema: JsonObject) -> bool:
    """Return whether several parts of a schema may have properties."""
    all_of = schema.get("allOf")
    parts = len(all_of) if isinstance(all_of, list) else 0
    parts += ("$ref" in schema) + ("anyOf" in schema) + ("oneOf" in schema)
    return parts + (not MEMBERS.isdisjoint(schema)) > 1


@dataclass(slots=True)
class _Parts:
    """What the parts of a conjunction say about properties.

    Attributes:
        names: Those that any part has, in order.
        required: Those that a part requires which always applies.
        exact: The names in each such part that allows no others.
        allows_others: Whether a part allows others explicitly.
    """

    names: dict[str, None] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    exact: list[Collection[str]] = field(default_factory=list)
    allows_others: bool = False


def close(schema: JsonObject, own: JsonObject, references: References, notes: Notes) -> None:
    """Close a conjunction, unless one of its parts allows other names."""
    parts = _survey(schema, references, notes)
    if notes.names > MAX_NAMES:
        notes.loosened.add("properties")
        return
    names = parts.names
    if parts.exact:
        allowed = {name: None for name in names if all(name in exact for exact in parts.exact)}
        if parts.required <= allowed.keys():
            names = allowed
        else:
            # No object would match, as with what older releases of Zod write.
            notes.loosened.add("additionalProperties")
    elif parts.allows_others or not (names or schema.get("unevaluatedProperties") is False):
        return
    elif not parts.required <= names.keys() and schema.get("unevaluatedProperties") is False:
        notes.loosened.add("required")  # no object would match
    properties = own.setdefault("properties", {})
    if not isinstance(properties, dict):
        return
    for name in [*names, *parts.required]:
        properties.setdefault(name, True)
    if parts.exact:
        properties.update(dict.fromkeys(properties.keys() - names.keys() - parts.required, False))
    own["additionalProperties"] = False


def _survey(schema: JsonObject, references: References, notes: Notes) -> _Parts:
    parts = _Parts()
    left: list[tuple[object, bool]] = [(schema, True)]
    seen: set[int] = set()
    while left and notes.names <= MAX_NAMES:
        part, applies = left.pop()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        _look_at(part, parts, notes, applies=applies, whole=part is schema)
        if "$ref" in part:
            left.append((references.target(part["$ref"]), applies))
        for keyword in ("allOf", "anyOf", "oneOf"):
            options = part.get(keyword)
            if isinstance(options, list):
                left += [(option, applies and keyword == "allOf") for option in options]
    return parts


def _size(names: Iterable[object]) -> int:
    """Return how many names there are; a long one counts as several."""
    return sum(1 + (len(name) // ORDINARY_NAME if isinstance(name, str) else 0) for name in names)


def _look_at(part: JsonObject, parts: _Parts, notes: Notes, *, applies: bool, whole: bool) -> None:
    properties, required = part.get("properties"), part.get("required")
    names = properties.keys() if isinstance(properties, dict) else ()
    needed = required if applies and isinstance(required, list) else ()
    notes.names += 1 + _size(names) + _size(needed)
    if notes.names > MAX_NAMES:
        return
    parts.names.update(dict.fromkeys(names))
    parts.required.update(name for name in needed if isinstance(name, str))
    others, unevaluated = part.get("additionalProperties"), part.get("unevaluatedProperties")
    parts.allows_others |= others not in (None, False) or unevaluated not in (None, False)
    if others is False and applies:
        parts.exact.append(names)
    elif others is False:
        notes.loosened.add("additionalProperties")
    elif unevaluated is False and not whole:
        if applies and IN_PLACE.isdisjoint(part):
            parts.exact.append(names)
        else:
            notes.loosened.add("unevaluatedProperties")
