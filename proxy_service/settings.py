"""The proxy's settings: every environment variable that it reads, in one table.

No other module reads the environment. This one imports only the standard library, so that the
stack's definition can take names and default ports from it.

A secret can be read from a file, whose path is in the variable of the same name with ``_FILE``
added. What is in the environment itself shows in ``docker inspect`` and in every child process.
"""

import ipaddress
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 11434  # Ollama's own
DEFAULT_ENGINE_URL = "http://127.0.0.1:8080"
# Far above what Mistral.rs works on at once, which has a queue of its own. It limits what a crowd
# can pile up, and isn't meant as a throttle.
DEFAULT_CONCURRENT_REQUESTS = 512
DEFAULT_QUEUED_REQUESTS = 512  # as Ollama's OLLAMA_MAX_QUEUE

MAX_PORT = 65535
MIB = 1024 * 1024
CONCURRENT_REQUESTS = range(1, 100_001)
QUEUED_REQUESTS = range(100_001)
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("json", "text")
_DIGITS_AND_DOTS = re.compile(r"\d+(\.\d+){2}")
# Visible ASCII without the comma, which separates keys; too long to guess.
_KEY = re.compile(r"[!-+\--~]{16,256}")
KEY_SHAPE = "16 to 256 visible ASCII characters, no comma"


class SettingsError(Exception):
    """One or more variables have unusable values; the text names all of them."""


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Where to listen; ``host`` is a name or an address, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as it is written in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; false for all names but localhost."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """What the engine may not report about a model, for tags, show and ps.

    Sizes are in bytes, lengths in tokens. An empty string or tuple, or 0, means "unknown".
    """

    family: str = ""
    format: str = ""
    parameter_size: str = ""
    quantization_level: str = ""
    context_length: int = 0
    embedding_length: int = 0
    size: int = 0
    template: str = ""
    license: str = ""
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """All settings of one proxy process; the defaults are those of `VARIABLES`."""

    engine_url: str = DEFAULT_ENGINE_URL
    bind: BindAddress = BindAddress(DEFAULT_HOST, DEFAULT_PORT)
    log_level: str = "info"
    log_format: str = "json"
    engine_connect_timeout_seconds: float = 5.0
    engine_silence_timeout_seconds: float = 300.0
    engine_reply_timeout_seconds: float = 3600.0
    # Below the 30 s after which the server library of Mistral.rs (hyper) may close it.
    engine_keep_alive_seconds: float = 15.0
    engine_probe_interval_seconds: float = 5.0
    engine_probe_timeout_seconds: float = 5.0
    client_request_timeout_seconds: float = 60.0
    client_stall_timeout_seconds: float = 300.0
    client_keep_alive_seconds: float = 120.0
    shutdown_grace_seconds: float = 8.0  # Docker kills the process after 10
    max_concurrent_requests: int = DEFAULT_CONCURRENT_REQUESTS
    max_queued_requests: int = DEFAULT_QUEUED_REQUESTS
    model_aliases: Mapping[str, str] = field(default_factory=dict)
    model_details: Mapping[str, ModelDetails] = field(default_factory=dict)
    model_unload: bool = False
    max_body_bytes: int = 50 * MIB  # Mistral.rs refuses larger ones
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    metrics_keys: tuple[str, ...] = field(default=(), repr=False)
    allow_unauthenticated: bool = False
    ollama_version: str = "0.33.0"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "ProxySettings":
        """Read and check every variable.

        Raises:
            SettingsError: Some values are unusable; the text names all of them, each with what
                it accepts.
        """
        values: dict[str, object] = {}
        faults: list[str] = []
        for variable in VARIABLES:
            text = environ.get(variable.name, "").strip()
            file = environ.get(f"{variable.name}_FILE", "").strip() if variable.secret else ""
            try:
                if file:
                    values[variable.attribute] = variable.parse(_read_secret(text, file))
                elif text:
                    values[variable.attribute] = variable.parse(text)
            except (ValueError, OSError) as error:
                faults.append(variable.complaint(text, file, error))
        settings = cls(**values)  # type: ignore[arg-type]  # each parser returns its field's type
        if not faults and settings._is_open_to_all:
            faults.append(
                f"BIND_ADDRESS={settings.bind}: other machines can reach it; set API_KEY_FILE or "
                "API_KEY to the key that clients must send, or ALLOW_UNAUTHENTICATED=true if "
                "everyone who can reach it may use the engine"
            )
        if faults:
            raise SettingsError("unusable settings:\n  " + "\n  ".join(faults))
        return settings

    @property
    def _is_open_to_all(self) -> bool:
        return not (self.bind.is_loopback or self.api_keys or self.allow_unauthenticated)

    @property
    def shown_engine_url(self) -> str:
        """The engine's URL for messages: without the user and password in it."""
        return _without_login(self.engine_url)


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its field, how it is parsed, and what it accepts."""

    name: str
    attribute: str
    parse: Callable[[str], object]
    accepts: str
    description: str
    secret: bool = False

    def complaint(self, text: str, file: str, error: Exception) -> str:
        """Return what is wrong with a value; a secret isn't repeated."""
        if not self.secret:
            return f"{self.name}={_without_login(text)!r}: expected {self.accepts}"
        if text and file:
            return f"{self.name}: {self.name}_FILE is set, too; set only one of them"
        if isinstance(error, OSError):
            return f"{self.name}_FILE={file!r}: can't be read: {error.strerror}"
        return f"{self.name}{'_FILE' if file else ''}: expected {self.accepts}"


def _read_secret(text: str, file: str) -> str:
    if text:
        raise ValueError(file)
    return Path(file).read_text(encoding="utf-8").strip()


def _without_login(url: str) -> str:
    return re.sub(r"//[^/]*@", "//", url)


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


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError(text)
        return text.lower()

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise ValueError(text)
        return value

    return parse


def _count(allowed: range) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if int(text) not in allowed:
            raise ValueError(text)
        return int(text)

    return parse


def _mebibytes(text: str) -> int:
    if not 1 <= int(text) <= 4096:  # noqa: PLR2004  the table below names the limits
        raise ValueError(text)
    return int(text) * MIB


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(text)
    return text.lower() in ("true", "1")


def _aliases(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(name.strip() and engine_id.strip() for name, _, engine_id in pairs):
        raise ValueError(text)
    return {name.strip(): engine_id.strip() for name, _, engine_id in pairs}


def read_model_details(text: str) -> dict[str, ModelDetails]:
    """Parse ``MODEL_DETAILS``, which the stack passes on, too.

    Raises:
        ValueError: It isn't what the variable accepts.
    """
    try:
        table = json.loads(text)
        return {str(name): _one_model(fields) for name, fields in table.items()}
    except (TypeError, AttributeError) as error:
        raise ValueError(text) from error


def _one_model(fields: Mapping[str, object]) -> ModelDetails:
    known = {**fields}
    if "capabilities" in known:
        known["capabilities"] = _texts(known["capabilities"])
    details = ModelDetails(**known)  # type: ignore[arg-type]  # checked on the next lines
    for name, default in ((f, getattr(ModelDetails(), f)) for f in known):
        value = getattr(details, name)
        if type(value) is not type(default) or (type(value) is int and value < 0):
            raise ValueError(name)
    return details


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(value)
    return tuple(value)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parse_keys(text: str) -> tuple[str, ...]:
    """Parse keys, separated by commas or line breaks.

    Raises:
        ValueError: There is no key, or one doesn't match `KEY_SHAPE`.
    """
    keys = tuple(key.strip() for key in re.split(r"[,\n]", text) if key.strip())
    if not keys or not all(map(_KEY.fullmatch, keys)):
        raise ValueError(KEY_SHAPE)
    return keys


def _version(text: str) -> str:
    if not _DIGITS_AND_DOTS.fullmatch(text):
        raise ValueError(text)
    return text


MODEL_DETAILS_ACCEPTS = "a JSON object from engine id to " + ", ".join(ModelDetails.__slots__)

VARIABLES = (
    Variable(
        "MISTRAL_URL",
        "engine_url",
        _url,
        "a URL such as http://127.0.0.1:8080, without a query",
        "where the engine's OpenAI-compatible server listens",
    ),
    Variable(
        "BIND_ADDRESS",
        "bind",
        _bind,
        f"host:port, port 0 to {MAX_PORT}, an IPv6 address in brackets",
        "where the proxy listens",
    ),
    Variable(
        "LOG_LEVEL",
        "log_level",
        _one_of(LOG_LEVELS),
        "one of " + ", ".join(LOG_LEVELS),
        "least important events that are logged",
    ),
    Variable(
        "LOG_FORMAT",
        "log_format",
        _one_of(LOG_FORMATS),
        "one of " + ", ".join(LOG_FORMATS),
        "how events are logged: as JSON objects, or as short lines for people",
    ),
    Variable(
        "ENGINE_CONNECT_TIMEOUT",
        "engine_connect_timeout_seconds",
        _seconds(0.1, 60),
        "seconds, 0.1 to 60",
        "longest wait for a connection to the engine",
    ),
    Variable(
        "ENGINE_SILENCE_TIMEOUT",
        "engine_silence_timeout_seconds",
        _seconds(0.1, 86400),
        "seconds, 0.1 to 86400",
        "longest time without a byte within a stream",
    ),
    Variable(
        "ENGINE_REPLY_TIMEOUT",
        "engine_reply_timeout_seconds",
        _seconds(0.1, 86400),
        "seconds, 0.1 to 86400",
        "longest wait for a reply that isn't streamed, or for a model to load",
    ),
    Variable(
        "ENGINE_KEEP_ALIVE",
        "engine_keep_alive_seconds",
        _seconds(0, 3600),
        "seconds, 0 to 3600",
        "how long an unused connection to the engine is kept; less than the engine keeps it",
    ),
    Variable(
        "ENGINE_PROBE_INTERVAL",
        "engine_probe_interval_seconds",
        _seconds(0.05, 3600),
        "seconds, 0.05 to 3600",
        "pause between two requests for the engine's list of models",
    ),
    Variable(
        "ENGINE_PROBE_TIMEOUT",
        "engine_probe_timeout_seconds",
        _seconds(0.05, 3600),
        "seconds, 0.05 to 3600",
        "longest wait for the engine's list of models, or for an unload",
    ),
    Variable(
        "CLIENT_REQUEST_TIMEOUT",
        "client_request_timeout_seconds",
        _seconds(0.1, 86400),
        "seconds, 0.1 to 86400",
        "longest time for a request's head, and longest silence within its body",
    ),
    Variable(
        "CLIENT_STALL_TIMEOUT",
        "client_stall_timeout_seconds",
        _seconds(0.1, 86400),
        "seconds, 0.1 to 86400",
        "longest time in which a client may read nothing of its response",
    ),
    Variable(
        "CLIENT_KEEP_ALIVE",
        "client_keep_alive_seconds",
        _seconds(0.1, 86400),
        "seconds, 0.1 to 86400",
        "how long a client's unused connection is kept",
    ),
    Variable(
        "SHUTDOWN_GRACE",
        "shutdown_grace_seconds",
        _seconds(0, 3600),
        "seconds, 0 to 3600",
        "how long running requests may take to finish after SIGTERM",
    ),
    Variable(
        "MAX_CONCURRENT_REQUESTS",
        "max_concurrent_requests",
        _count(CONCURRENT_REQUESTS),
        "whole numbers, 1 to 100000",
        "generations and embeddings that the engine may work on at once; further requests wait",
    ),
    Variable(
        "MAX_QUEUED_REQUESTS",
        "max_queued_requests",
        _count(QUEUED_REQUESTS),
        "whole numbers, 0 to 100000",
        "requests that may wait for a slot; further ones are refused with a 503",
    ),
    Variable(
        "MODEL_ALIASES",
        "model_aliases",
        _aliases,
        "name=engine-id pairs, separated by commas",
        "names that clients may use for the engine's model ids",
    ),
    Variable(
        "MODEL_DETAILS",
        "model_details",
        read_model_details,
        MODEL_DETAILS_ACCEPTS,
        "what the engine doesn't report about its models",
    ),
    Variable(
        "MODEL_UNLOAD",
        "model_unload",
        _flag,
        "true or false",
        "whether `keep_alive` 0 unloads a model from the engine",
    ),
    Variable(
        "MAX_BODY_MIB",
        "max_body_bytes",
        _mebibytes,
        "whole mebibytes, 1 to 4096",
        "largest request body; all bodies together may be three times as large",
    ),
    Variable(
        "OLLAMA_ORIGINS",
        "origins",
        _names,
        "origins separated by commas, * as a wildcard",
        "web origins that may call the proxy, besides those that Ollama always allows",
    ),
    Variable(
        "ALLOWED_HOSTS",
        "hosts",
        _names,
        "host names separated by commas, or *",
        "names that clients may use for the proxy, besides local ones; unset: none on loopback, "
        "any elsewhere",
    ),
    Variable(
        "API_KEY",
        "api_keys",
        parse_keys,
        f"keys separated by commas, each {KEY_SHAPE}",
        "clients must send one of these; `API_KEY_FILE` names a file that holds them instead",
        secret=True,
    ),
    Variable(
        "METRICS_KEY",
        "metrics_keys",
        parse_keys,
        f"keys separated by commas, each {KEY_SHAPE}",
        "keys for the metrics only; `METRICS_KEY_FILE` names a file that holds them instead",
        secret=True,
    ),
    Variable(
        "ALLOW_UNAUTHENTICATED",
        "allow_unauthenticated",
        _flag,
        "true or false",
        "serve without `API_KEY` on an address that other machines can reach",
    ),
    Variable(
        "OLLAMA_VERSION",
        "ollama_version",
        _version,
        "three numbers, such as 0.33.0",
        "the version that /api/version returns, by which clients know Ollama's features",
    ),
)


def log_level_number(level: str) -> int:
    """Return the number that `logging` uses for a name of `LOG_LEVELS`."""
    return logging.getLevelNamesMapping()[level.upper()]
