"""How errors are written for the clients of each API."""

from enum import StrEnum
from http import HTTPStatus

from proxy_service.errors import Overloaded, ProxyError
from proxy_service.wire import JsonObject
from proxy_service.wire.writing import to_text


class Dialect(StrEnum):
    """The API in whose format an error is written."""

    OLLAMA = "ollama"
    OPENAI = "openai"
    RESPONSES = "responses"
    ANTHROPIC = "anthropic"


_OPENAI_TYPES = {
    HTTPStatus.BAD_REQUEST: "invalid_request_error",
    HTTPStatus.UNAUTHORIZED: "invalid_request_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
}
_OPENAI_CODES = {HTTPStatus.UNAUTHORIZED: "invalid_api_key"}
_ANTHROPIC_TYPES = _OPENAI_TYPES | {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
}


def dialect_of(path: str) -> Dialect:
    """Return the API that ``path`` belongs to."""
    if path.startswith("/v1/messages"):
        return Dialect.ANTHROPIC
    if path.startswith("/v1/responses"):
        return Dialect.RESPONSES
    return Dialect.OPENAI if path.startswith("/v1/") else Dialect.OLLAMA


def error_body(error: ProxyError, dialect: Dialect) -> bytes:
    """Return ``error`` as the JSON object that clients of ``dialect`` expect."""
    return to_text(_object(error, dialect)).encode("ascii")


def error_in_stream(error: ProxyError, dialect: Dialect) -> bytes:
    """Return ``error`` as the last line or event of a stream for clients of ``dialect``."""
    value = _object(error, dialect)
    if dialect is Dialect.OLLAMA:
        return to_text(value).encode("ascii") + b"\n"
    name = b"" if dialect is Dialect.OPENAI else b"event: error\n"
    if dialect is Dialect.RESPONSES:
        # OpenAI's own event has the fields at the top. Its libraries look for `error`, and others
        # for a number, which nobody knows in the middle of another server's stream.
        value = _openai_error(error) | {"type": "error", "sequence_number": 0} | value
    body = to_text(value).encode("ascii")
    return b"\n\n" + name + b"data: " + body + b"\n\n"  # ends an event that may be incomplete


def _object(error: ProxyError, dialect: Dialect) -> JsonObject:
    if dialect is Dialect.OLLAMA:
        return {"error": error.message}
    if dialect is Dialect.ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
        if isinstance(error, Overloaded):
            kind = "overloaded_error"
        return {"type": "error", "error": {"type": kind, "message": error.message}}
    return {"error": _openai_error(error)}


def _openai_error(error: ProxyError) -> JsonObject:
    return {
        "message": error.message,
        "type": _OPENAI_TYPES.get(error.status, "api_error"),
        "param": None,
        "code": _OPENAI_CODES.get(error.status),
    }
