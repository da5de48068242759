"""How errors are written for the clients of each API."""

from enum import StrEnum
from http import HTTPStatus

from proxy_service.errors import Overloaded, ProxyError
from proxy_service.wire.writing import to_text


class Dialect(StrEnum):
    """The API in whose format an error is written."""

    OLLAMA = "ollama"
    OPENAI = "openai"
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
    return Dialect.OPENAI if path.startswith("/v1/") else Dialect.OLLAMA


def error_body(error: ProxyError, dialect: Dialect) -> bytes:
    """Return ``error`` as the JSON object that clients of ``dialect`` expect."""
    status, message = error.status, error.message
    anthropic_type = _ANTHROPIC_TYPES.get(status, "api_error")
    if isinstance(error, Overloaded):
        anthropic_type = "overloaded_error"
    shapes: dict[Dialect, object] = {
        Dialect.OLLAMA: {"error": message},
        Dialect.OPENAI: {
            "error": {
                "message": message,
                "type": _OPENAI_TYPES.get(status, "api_error"),
                "param": None,
                "code": _OPENAI_CODES.get(status),
            }
        },
        Dialect.ANTHROPIC: {
            "type": "error",
            "error": {"type": anthropic_type, "message": message},
        },
    }
    return to_text(shapes[dialect]).encode("ascii")


def error_in_stream(error: ProxyError, dialect: Dialect) -> bytes:
    """Return ``error`` as the last line or event of a stream for clients of ``dialect``."""
    body = error_body(error, dialect)
    if dialect is Dialect.OLLAMA:
        return body + b"\n"
    name = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
    return b"\n\n" + name + b"data: " + body + b"\n\n"  # ends an event that may be incomplete
