"""Parsers of the variables' values, each with the text that says what it accepts.

A parser raises `ValueError` for a value that it doesn't accept.
"""

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from proxy_service.settings.model_details import MODEL_DETAILS_ACCEPTS, read_model_details
from proxy_service.settings.values import BODY_MEBIBYTES, MAX_PORT, MIB, BindAddress

_DIGITS_AND_DOTS = re.compile(r"\d+(\.\d+){2}")
# Visible ASCII without the comma, which separates keys; long enough to be hard to guess.
_KEY = re.compile(r"[!-+\--~]{16,256}")
KEY_SHAPE = "16 to 256 visible ASCII characters, no comma"


class Parser(NamedTuple):
    """How a value is parsed, and what it must be."""

    parse: Callable[[str], object]
    accepts: str


def one_of(choices: tuple[str, ...]) -> Parser:
    """Return a parser of one of several words, in any case."""

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(text)
        return text.lower()

    return Parser(parse, "one of " + ", ".join(choices))


def seconds(low: float, high: float) -> Parser:
    """Return a parser of a number of seconds within limits."""

    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return Parser(parse, f"seconds, {low:g} to {high:g}")


def count(allowed: range) -> Parser:
    """Return a parser of a whole number within limits."""
    return Parser(lambda text: _within(allowed, text), f"whole numbers, {_limits(allowed)}")


def names(accepts: str) -> Parser:
    """Return a parser of words separated by commas; ``accepts`` says what they name."""
    return Parser(_names, accepts)


def parse_keys(text: str) -> tuple[str, ...]:
    """Parse keys, separated by commas or line breaks.

    Raises:
        ValueError: There is no key, or one doesn't match `KEY_SHAPE`.
    """
    keys = tuple(key.strip() for key in re.split(r"[,\n]", text) if key.strip())
    if not keys or not all(map(_KEY.fullmatch, keys)):
        raise ValueError(KEY_SHAPE)
    return keys


def _within(allowed: range, text: str) -> int:
    if int(text) not in allowed:
        raise ValueError(text)
    return int(text)


def _limits(allowed: range) -> str:
    return f"{allowed[0]} to {allowed[-1]}"


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(text)
    _ = parts.port  # raises ValueError for a port out of range
    return text.rstrip("/")


def _bind(text: str) -> BindAddress:
    host, separator, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not separator or not port.isascii() or not port.isdigit() or (":" in host and not bracketed):
        raise ValueError(text)
    if not 0 <= int(port) <= MAX_PORT:
        raise ValueError(text)
    return BindAddress(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104  ":11434" as in Go


def _mebibytes(text: str) -> int:
    return _within(BODY_MEBIBYTES, text) * MIB


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "1")


def _aliases(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(name.strip() and engine_id.strip() for name, _, engine_id in pairs):
        raise ValueError(text)
    return {name.strip(): engine_id.strip() for name, _, engine_id in pairs}


def _version(text: str) -> str:
    if not _DIGITS_AND_DOTS.fullmatch(text):
        raise ValueError(text)
    return text


URL = Parser(_url, "a URL such as http://127.0.0.1:8080, without a query")
BIND = Parser(_bind, f"host:port, port 0 to {MAX_PORT}, an IPv6 address in brackets")
MEBIBYTES = Parser(_mebibytes, f"whole mebibytes, {_limits(BODY_MEBIBYTES)}")
FLAG = Parser(_flag, "true or false")
ALIASES = Parser(_aliases, "name=engine-id pairs, separated by commas")
MODEL_DETAILS = Parser(read_model_details, MODEL_DETAILS_ACCEPTS)
KEYS = Parser(parse_keys, f"keys separated by commas, each {KEY_SHAPE}")
VERSION = Parser(_version, "three numbers, such as 0.33.0")
