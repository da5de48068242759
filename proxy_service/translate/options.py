"""Maps Ollama's ``options`` to the engine's sampling parameters: every key, in one table.

An option that the engine lacks is ignored, as Ollama ignores options that a model lacks. A key
that isn't in a table is ignored too, and logged once. Only a value of the wrong type is an error.
For sampling options that the client doesn't set, the model's own values apply, or else Ollama's
defaults.
"""

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject

# The engine's integers have 64 bits, but no sensible value needs more than 32.
_MAX_NUMBER = 2**31 - 1
# Each piece of a reply is searched for every stop string. OpenAI's clients send at most four, and
# those of Ollama that write dialogues some dozens.
MAX_STOP_STRINGS = 128
MAX_STOP_CHARACTERS = 8192  # of all of them together


class Kind(StrEnum):
    """The type of an option, named as in Ollama's errors."""

    FLOAT = "float32"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    ARRAY = "array"


@dataclass(frozen=True, slots=True)
class Option:
    """One key of ``options``.

    ``field`` is the engine's name for it, None if it has no such parameter. A number below ``low``
    or above ``high`` is left out, so that the engine's default applies; with ``clamp`` the nearest
    bound is sent instead.
    """

    kind: Kind
    field: str | None = None
    low: float = -_MAX_NUMBER
    high: float = _MAX_NUMBER
    clamp: bool = False
    note: str = ""


_NO_COUNTERPART = "the engine has no such setting"
_SERVER_SIDE = "set when the engine starts"

OPTIONS: dict[str, Option] = {
    "num_predict": Option(Kind.INTEGER, "max_tokens", low=1, note="0 or less: no limit"),
    "temperature": Option(Kind.FLOAT, "temperature", low=0, clamp=True, note="0 or less: greedy"),
    "top_p": Option(Kind.FLOAT, "top_p", low=1e-6, high=1, note="left out if not within 0 to 1"),
    "min_p": Option(Kind.FLOAT, "min_p", low=0, high=1, note="left out if not within 0 to 1"),
    "top_k": Option(Kind.INTEGER, "top_k", low=1, note="0 or less: no top-k filter"),
    "repeat_penalty": Option(
        Kind.FLOAT, "repetition_penalty", low=1e-6, note="applies to the whole context"
    ),
    "presence_penalty": Option(
        Kind.FLOAT, "presence_penalty", low=-2, high=2, clamp=True, note="clamped to -2 to 2"
    ),
    "frequency_penalty": Option(
        Kind.FLOAT, "frequency_penalty", low=-2, high=2, clamp=True, note="clamped to -2 to 2"
    ),
    "stop": Option(Kind.ARRAY, "stop", note="a single string is accepted too"),
    "seed": Option(Kind.INTEGER, note="the engine has one seed, set when it starts"),
    "num_ctx": Option(Kind.INTEGER, note=_SERVER_SIDE),
    "num_keep": Option(Kind.INTEGER, note=_NO_COUNTERPART),
    "typical_p": Option(Kind.FLOAT, note=_NO_COUNTERPART),
    "repeat_last_n": Option(Kind.INTEGER, note=_NO_COUNTERPART),
    "num_batch": Option(Kind.INTEGER, note=_SERVER_SIDE),
    "num_gpu": Option(Kind.INTEGER, note=_SERVER_SIDE),
    "main_gpu": Option(Kind.INTEGER, note=_SERVER_SIDE),
    "use_mmap": Option(Kind.BOOLEAN, note=_SERVER_SIDE),
    "num_thread": Option(Kind.INTEGER, note=_SERVER_SIDE),
    "draft_num_predict": Option(Kind.INTEGER, note=_SERVER_SIDE),
}

# Those of Ollama's ``DefaultOptions`` that differ from the engine's defaults.
DEFAULTS: JsonObject = {"temperature": 0.8, "top_k": 40, "top_p": 0.9}

RETIRED_OPTIONS = frozenset(
    {
        "tfs_z",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "penalize_newline",
        "use_mlock",
        "numa",
        "low_vram",
        "f16_kv",
        "vocab_only",
        "logits_all",
        "embedding_only",
        "num_gqa",
    }
)


def to_sampling(options: JsonObject) -> JsonObject:
    """Translate ``options`` into fields of an engine request.

    Raises:
        InvalidRequest: A known option has a value of the wrong type; status 500, as in Ollama. Or
            there are too many stop strings; status 400.
    """
    sampling: JsonObject = {}
    for name, value in options.items():
        option = OPTIONS.get(name)
        if option is None or value is None:
            continue
        usable = _usable(name, option, value)
        if option.field is not None and usable is not None:
            sampling[option.field] = usable
    return sampling


def to_full_sampling(options: JsonObject, parameters: JsonObject) -> JsonObject:
    """Translate ``options``, with defaults for those that the client doesn't set.

    The default is the model's own value, from its ``parameters``, or else Ollama's default.

    Raises:
        InvalidRequest: See `to_sampling`.
    """
    if not options and not parameters:
        return _DEFAULT_SAMPLING.copy()
    given = {name: value for name, value in options.items() if value is not None}
    return to_sampling(DEFAULTS | parameters | given)


def usable_options(options: JsonObject) -> JsonObject:
    """Return those of ``options`` that are known and have a value of the right type."""
    usable: JsonObject = {}
    for name, value in options.items():
        with suppress(InvalidRequest):
            if to_sampling({name: value}):
                usable[name] = value
    return usable


def unknown_options(options: JsonObject) -> list[str]:
    """Return the keys that aren't options of any Ollama release."""
    return [name for name in options if name not in OPTIONS and name not in RETIRED_OPTIONS]


def stop_strings(options: JsonObject) -> tuple[str, ...]:
    """Return the non-empty stop strings of a request."""
    if options.get("stop") is None:
        return ()
    found = to_sampling({"stop": options["stop"]}).get("stop", ())
    return tuple(found) if isinstance(found, list) else ()


def _usable(name: str, option: Option, value: object) -> object:
    if option.kind is Kind.ARRAY:
        return _strings(name, value) or None
    if option.kind is Kind.BOOLEAN:
        if not isinstance(value, bool):
            raise _wrong_type(name, option.kind)
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong_type(name, option.kind)
    number = int(value) if option.kind is Kind.INTEGER else value
    if option.clamp:
        return min(max(number, option.low), option.high)
    return number if option.low <= number <= option.high else None


def _strings(name: str, value: object) -> list[str]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise _wrong_type(name, Kind.ARRAY)
    limit_stops(items, f'option "{name}"')
    return [item for item in items if item]


def limit_stops(strings: list[str], field: str) -> None:
    """Raise `InvalidRequest`, which names the ``field``, if there are too many stop strings."""
    if len(strings) > MAX_STOP_STRINGS or sum(map(len, strings)) > MAX_STOP_CHARACTERS:
        raise InvalidRequest(
            f"{field} may have at most {MAX_STOP_STRINGS} strings, of together at most "
            f"{MAX_STOP_CHARACTERS} characters"
        )


def _wrong_type(name: str, kind: Kind) -> InvalidRequest:
    return InvalidRequest(f'option "{name}" must be of type {kind}', status=500)


_DEFAULT_SAMPLING = to_sampling(DEFAULTS)
