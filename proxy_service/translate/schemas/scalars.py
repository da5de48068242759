"""The keywords about values, numbers and strings.

Each function writes what the grammar can hold of a schema's keywords into ``own``. What isn't valid
is written as it is, for the engine to refuse.
"""

from proxy_service.translate.schemas.deadly import has_deadly_number
from proxy_service.translate.schemas.keywords import VALUES
from proxy_service.translate.schemas.notes import Notes
from proxy_service.wire import JsonObject

# The largest whole number up to which a double holds all of them; it has 16 digits.
MAX_INTEGER = 2**53 - 1
# The formats that the grammar knows, with the characters that the longest sensible text has. Some
# of them take digits without end.
FORMATS = {
    "date-time": 35,  # with nanoseconds and an offset
    "time": 24,
    "date": 10,
    "duration": 32,
    "email": 254,  # RFC 5321, section 4.5.3
    "hostname": 253,  # RFC 1035, section 2.3.4
    "ipv4": 15,
    "ipv6": 45,
    "uuid": 36,
}

# The grammar computes bounds with 64 bits, and refuses those above this.
_MAX_BOUND = 10**18
# It counts remainders in as many states, which takes it 70 ms; a million take it 8 s.
_MAX_DIVISOR = 10_000
_MAX_DECIMALS = 15
_MAX_LENGTH = 2**32 - 1


def write_values(schema: JsonObject, own: JsonObject, notes: Notes) -> None:
    """Write ``const`` and ``enum``."""
    for keyword in VALUES & schema.keys():
        if has_deadly_number(schema[keyword]):
            notes.loosened.add(keyword)
        else:
            own[keyword] = schema[keyword]


def write_numbers(schema: JsonObject, own: JsonObject, kinds: list[object], notes: Notes) -> None:
    """Write bounds, so that whole numbers have at most 16 digits, and ``multipleOf``."""
    low = _write_bound(schema, ("minimum", "exclusiveMinimum"), own, notes, sign=-1)
    high = _write_bound(schema, ("maximum", "exclusiveMaximum"), own, notes, sign=1)
    if "integer" in kinds and VALUES.isdisjoint(own):
        if low is None and (high is None or high >= -MAX_INTEGER):
            own.setdefault("minimum", -MAX_INTEGER)
        if high is None and (low is None or low <= MAX_INTEGER):
            own.setdefault("maximum", MAX_INTEGER)
    divisor = schema.get("multipleOf")
    if divisor is None:
        return
    # Version 1.4.0 of the grammar takes no negative multiples.
    if _is_divisor(divisor) and (high is None or high > 0):
        own["multipleOf"] = divisor
    else:
        notes.loosened.add("multipleOf")


def _write_bound(
    schema: JsonObject, keywords: tuple[str, str], own: JsonObject, notes: Notes, *, sign: int
) -> float | None:
    """Write the bounds on one side; return one of them, None if there are none."""
    inclusive, exclusive = keywords
    bounds = {keyword: schema.get(keyword) for keyword in keywords}
    if isinstance(bounds[exclusive], bool):  # as up to draft 4
        bounds = {exclusive if bounds[exclusive] else inclusive: bounds[inclusive]}
    found: float | None = None
    for keyword, value in bounds.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            own[keyword] = value
        elif abs(value) <= MAX_INTEGER:
            own[keyword] = found = value
        elif value * sign > 0:
            found = MAX_INTEGER * sign
            own.setdefault(inclusive, found)
        elif abs(value) < _MAX_BOUND:
            own[keyword] = found = value
        else:
            notes.loosened.add(keyword)
    return found


def _is_divisor(value: object) -> bool:
    """Return whether the grammar can count in steps of this size, which it computes likewise."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value == 0:
        return False
    if abs(value) > _MAX_DIVISOR:
        return False
    scaled = abs(float(value))
    for _ in range(_MAX_DECIMALS):
        if scaled.is_integer():
            break
        scaled *= 10
    return scaled.is_integer() and scaled <= _MAX_DIVISOR


def write_text(schema: JsonObject, own: JsonObject, kinds: list[object], notes: Notes) -> None:
    """Write lengths, ``pattern`` and ``format``."""
    for keyword in ("minLength", "maxLength"):
        notes.count(schema, keyword, own, at_most=_MAX_LENGTH)
    pattern, name = schema.get("pattern"), schema.get("format")
    exact = False
    if isinstance(pattern, str):
        translated = notes.pattern(pattern)
        exact = translated.exact
        if translated.text is not None:
            own["pattern"] = translated.text
    elif pattern is not None:
        own["pattern"] = pattern
    # Zod writes both, and some of its patterns match nothing of what the grammar's format does.
    if name is None or exact or not ("string" in kinds or kinds == [None]):
        return
    if isinstance(name, str) and name in FORMATS:
        own["format"] = name
        if own.keys().isdisjoint({"minLength", "maxLength"}):
            own["maxLength"] = FORMATS[name]
    else:
        notes.loosened.add("format")
