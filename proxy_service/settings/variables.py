"""Every environment variable that the proxy reads, in one table."""

from dataclasses import dataclass

from proxy_service.settings import parsers
from proxy_service.settings.parsers import Parser
from proxy_service.settings.values import (
    BODY_MEBIBYTES,
    CONCURRENT_REQUESTS,
    CONNECTIONS,
    LOADED_MODELS,
    LOG_FORMATS,
    LOG_LEVELS,
    QUEUED_REQUESTS,
    UNPACKED_MEBIBYTES,
    without_login,
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: its field, how it is parsed, and what it is for."""

    name: str
    attribute: str
    parser: Parser
    description: str
    secret: bool = False

    @property
    def accepts(self) -> str:
        """What a value must be."""
        return self.parser.accepts

    def complaint(self, text: str, file: str, error: Exception) -> str:
        """Return what is wrong with a value, without repeating a secret."""
        if not self.secret:
            return f"{self.name}={without_login(text)!r}: expected {self.accepts}"
        if text and file:
            return f"{self.name}: {self.name}_FILE is set, too; set only one of them"
        if isinstance(error, OSError):
            return f"{self.name}_FILE={file!r}: can't be read: {error.strerror}"
        return f"{self.name}{'_FILE' if file else ''}: expected {self.accepts}"


VARIABLES = (
    Variable(
        "MISTRAL_URL",
        "engine_url",
        parsers.URL,
        "where the engine's OpenAI-compatible server listens",
    ),
    Variable(
        "BIND_ADDRESS",
        "bind",
        parsers.BIND,
        "where the proxy listens",
    ),
    Variable(
        "LOG_LEVEL",
        "log_level",
        parsers.one_of(LOG_LEVELS),
        "lowest level of the events that are logged",
    ),
    Variable(
        "LOG_FORMAT",
        "log_format",
        parsers.one_of(LOG_FORMATS),
        "how events are logged: as JSON objects, or as short lines for people",
    ),
    Variable(
        "ENGINE_CONNECT_TIMEOUT",
        "engine_connect_timeout_seconds",
        parsers.seconds(0.1, 60),
        "longest wait for a connection to the engine",
    ),
    Variable(
        "ENGINE_SILENCE_TIMEOUT",
        "engine_silence_timeout_seconds",
        parsers.seconds(0.1, 86400),
        "longest time without a byte within a stream",
    ),
    Variable(
        "ENGINE_REPLY_TIMEOUT",
        "engine_reply_timeout_seconds",
        parsers.seconds(0.1, 86400),
        "longest wait for a reply that isn't streamed, or for a model to load",
    ),
    Variable(
        "ENGINE_KEEP_ALIVE",
        "engine_keep_alive_seconds",
        parsers.seconds(0, 3600),
        "how long an unused connection to the engine is kept; set it below the engine's limit",
    ),
    Variable(
        "ENGINE_PROBE_INTERVAL",
        "engine_probe_interval_seconds",
        parsers.seconds(0.05, 3600),
        "pause between two requests for the engine's list of models",
    ),
    Variable(
        "ENGINE_PROBE_TIMEOUT",
        "engine_probe_timeout_seconds",
        parsers.seconds(0.05, 3600),
        "longest wait for the engine's list of models, or for an unload",
    ),
    Variable(
        "CLIENT_REQUEST_TIMEOUT",
        "client_request_timeout_seconds",
        parsers.seconds(0.1, 86400),
        "longest time for a request's head, and for which its body may arrive at less than 1 KiB "
        "per second",
    ),
    Variable(
        "CLIENT_STALL_TIMEOUT",
        "client_stall_timeout_seconds",
        parsers.seconds(0.1, 86400),
        "how long a client may read nothing of its response",
    ),
    Variable(
        "CLIENT_KEEP_ALIVE",
        "client_keep_alive_seconds",
        parsers.seconds(0.1, 86400),
        "how long a client's unused connection is kept",
    ),
    Variable(
        "SHUTDOWN_GRACE",
        "shutdown_grace_seconds",
        parsers.seconds(0, 3600),
        "how long running requests may take to finish after SIGTERM",
    ),
    Variable(
        "MAX_CONCURRENT_REQUESTS",
        "max_concurrent_requests",
        parsers.count(CONCURRENT_REQUESTS),
        "generations and embeddings that the engine may work on at once; further requests wait",
    ),
    Variable(
        "MAX_QUEUED_REQUESTS",
        "max_queued_requests",
        parsers.count(QUEUED_REQUESTS),
        "requests that may wait for a slot; further ones are refused with a 503",
    ),
    Variable(
        "MAX_CONNECTIONS",
        "max_connections",
        parsers.count(CONNECTIONS),
        "connections that may be open; a further one replaces the one that has waited longest",
    ),
    Variable(
        "MODEL_ALIASES",
        "model_aliases",
        parsers.ALIASES,
        "names that clients may use for the engine's model ids",
    ),
    Variable(
        "MODEL_DETAILS",
        "model_details",
        parsers.MODEL_DETAILS,
        "what the engine doesn't report about its models",
    ),
    Variable(
        "MODEL_UNLOAD",
        "model_unload",
        parsers.FLAG,
        "whether models are unloaded from the engine: idle ones, and those in the way of others",
    ),
    Variable(
        "OLLAMA_KEEP_ALIVE",
        "model_keep_alive_seconds",
        parsers.KEEP_ALIVE,
        "how long an idle model stays loaded, if `MODEL_UNLOAD` is set and a request doesn't say",
    ),
    Variable(
        "OLLAMA_MAX_LOADED_MODELS",
        "max_loaded_models",
        parsers.count(LOADED_MODELS),
        "how many models may be loaded at once, if `MODEL_UNLOAD` is set; 0 for any number",
    ),
    Variable(
        "MAX_BODY_MIB",
        "max_body_bytes",
        parsers.mebibytes(BODY_MEBIBYTES),
        "largest request body; all bodies together may be three times as large",
    ),
    Variable(
        "MAX_UNPACKED_MIB",
        "max_unpacked_bytes",
        parsers.mebibytes(UNPACKED_MEBIBYTES),
        "largest compressed body, packed or unpacked; `MAX_BODY_MIB` limits it, too",
    ),
    Variable(
        "OLLAMA_ORIGINS",
        "origins",
        parsers.ORIGINS,
        "web origins that may call the proxy, besides those that Ollama always allows",
    ),
    Variable(
        "ALLOWED_HOSTS",
        "hosts",
        parsers.HOSTS,
        "names that clients may use for the proxy, besides local ones; unset: none on loopback, "
        "any elsewhere",
    ),
    Variable(
        "API_KEY",
        "api_keys",
        parsers.KEYS,
        "clients must send one of these; `API_KEY_FILE` names a file that holds them instead",
        secret=True,
    ),
    Variable(
        "METRICS_KEY",
        "metrics_keys",
        parsers.KEYS,
        "keys for the metrics only; `METRICS_KEY_FILE` names a file that holds them instead",
        secret=True,
    ),
    Variable(
        "ALLOW_UNAUTHENTICATED",
        "allow_unauthenticated",
        parsers.FLAG,
        "serve without `API_KEY` on an address that other machines can reach",
    ),
    Variable(
        "ALLOW_ENGINE_TOOLS",
        "allow_engine_tools",
        parsers.FLAG,
        "let clients have the engine run code, search the web, fetch URLs and keep sessions",
    ),
    Variable(
        "OLLAMA_VERSION",
        "ollama_version",
        parsers.VERSION,
        "the version that /api/version returns; clients choose the features that they use by it",
    ),
)
