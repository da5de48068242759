"""Parsers of the variables' values, each with the text that says what it accepts.

A parser raises `ValueError` for a value that it doesn't accept.
"""

import re
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from proxy_service.durations import parse_duration
from proxy_service.settings.model_details import MODEL_DETAILS_ACCEPTS, read_model_details
from proxy_service.settings.values import MAX_PORT, MIB, BindAddress, is_host

_DIGITS_AND_DOTS = re.compile(r"[0-9]+(\.[0-9]+){2}")
_VISIBLE = re.compile(r"[!-~]+")
# As browsers send it: a scheme, a host and maybe a port, without a path.
_ORIGIN = re.compile(r"\*|null|[a-z*][a-z0-9+.*-]*://[^\s/?#@]+", re.IGNORECASE)
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


def parse_keep_alive(text: str) -> float:
    """Parse a number of seconds or a duration such as ``5m``; infinity if it is negative.

    Raises:
        ValueError: It is neither.
    """
    number = re.fullmatch(r"[+-]?[0-9]{1,18}", text)
    seconds = float(text) if number else parse_duration(text)
    return float("inf") if seconds < 0 else seconds


def mebibytes(allowed: range) -> Parser:
    """Return a parser of a whole number of mebibytes within limits, which returns bytes."""
    return Parser(lambda text: _within(allowed, text) * MIB, f"whole mebibytes, {_limits(allowed)}")


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


def parse_url(text: str, schemes: tuple[str, ...] = ("http",)) -> str:
    """Parse a base URL, to which paths are added; it may end with a slash, which is removed.

    Raises:
        ValueError: It has another scheme, no valid host or port, a query, a fragment, or spaces.
    """
    parts = urlsplit(text)
    # `urlsplit` ignores line breaks, and the marks of an empty query and fragment.
    if not _VISIBLE.fullmatch(text) or "?" in text or "#" in text:
        raise ValueError(text)
    # Reading the port raises ValueError if it is out of range.
    if parts.scheme not in schemes or not is_host(parts.hostname or "") or parts.port == 0:
        raise ValueError(text)
    return text.rstrip("/")


def _bind(text: str) -> BindAddress:
    host, separator, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not separator or not port.isascii() or not port.isdigit() or (":" in host and not bracketed):
        raise ValueError(text)
    address = host[1:-1] if bracketed else host or "0.0.0.0"  # noqa: S104  ":11434" as in Go
    if not 0 <= int(port) <= MAX_PORT or not is_host(address):
        raise ValueError(text)
    return BindAddress(address, int(port))


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(name.removesuffix(".") for name in _names(text))
    if not all(name == "*" or is_host(name) for name in hosts):
        raise ValueError(text)
    return hosts


def _origins(text: str) -> tuple[str, ...]:
    origins = _names(text)
    if not all(map(_ORIGIN.fullmatch, origins)):
        raise ValueError(text)
    return origins


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "1")


def _aliases(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    aliases = {name.strip(): engine_id.strip() for name, _, engine_id in pairs}
    if len(aliases) < len(pairs) or not all(name and aliases[name] for name in aliases):
        raise ValueError(text)
    return aliases


def _version(text: str) -> str:
    if not _DIGITS_AND_DOTS.fullmatch(text):
        raise ValueError(text)
    return text


URL = Parser(parse_url, "an http URL such as http://127.0.0.1:8080, without a query")
BIND = Parser(_bind, f"host:port, port 0 to {MAX_PORT}, an IPv6 address in brackets")
FLAG = Parser(_flag, "true or false")
KEEP_ALIVE = Parser(parse_keep_alive, "seconds, or a duration such as 5m; -1 means always")
ALIASES = Parser(_aliases, "name=engine-id pairs, separated by commas, each name once")
HOSTS = Parser(_hosts, "host names or IP addresses without ports, separated by commas, or *")
ORIGINS = Parser(
    _origins, "origins such as https://app.example.org, separated by commas, * as a wildcard"
)
MODEL_DETAILS = Parser(read_model_details, MODEL_DETAILS_ACCEPTS)
KEYS = Parser(parse_keys, f"keys separated by commas, each {KEY_SHAPE}")
VERSION = Parser(_version, "three numbers, such as 0.33.0")
