"""The engine's errors, read from a status and a body or from an event within a stream."""

from http import HTTPStatus
from typing import cast

from proxy_service.errors import (
    EngineProtocolError,
    EngineRejected,
    EngineUnavailable,
    InternalError,
    ModelNotFound,
    ProxyError,
)
from proxy_service.wire import JsonObject
from proxy_service.wire.reading import decode_reply

# How the engine's messages about faults of the request begin, though it answers most with a
# 500. Only beginnings: words such as "image" stand in messages about the engine as well.
_CLIENT_FAULTS = (
    "prompt sequence length is greater",
    "received a request incompatible for this model's category",
    "max_tokens must be at least",
    "invalid grammar",
)
# Statuses by which the engine says that the request is at fault.
_CLIENT_STATUSES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
)
# Statuses of an engine that lacks an endpoint.
ABSENT = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
# Statuses that mean the same on the way to the client.
_GATEWAY_STATUSES = (
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
POISONED = "EnginePoisoned"


def parse_reply(body: bytes) -> object:
    """Decode a whole reply of the engine.

    Raises:
        EngineProtocolError: It is not JSON, so it comes from something that is no engine.
    """
    try:
        return decode_reply(body)
    except ValueError as error:
        raise EngineProtocolError(
            "the engine's reply is not JSON; check that MISTRAL_URL is Mistral.rs"
        ) from error


def from_reply(status: int, body: bytes, *, model: str) -> ProxyError:
    """Translate a reply that is not a success.

    Args:
        status: The engine's HTTP status.
        body: ``{"message": ...}``, OpenAI's ``{"error": {"message": ...}}`` or plain text.
        model: The name that the client used, for the text of a 404.
    """
    message = _message(body) or f"the engine answered with status {status} and no reason"
    if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        return _quoting(InternalError(f"the engine refused the proxy's request: {message}"))
    return from_message(message, model=model, status=status)


def no_model_list(status: int, body: bytes) -> EngineProtocolError:
    """Translate a reply to ``GET /v1/models`` that is not a success, which no client causes."""
    reason = _message(body) or "no reason"
    return EngineProtocolError(
        f"the server behind MISTRAL_URL told no models, but status {status} and {reason}; "
        "check that MISTRAL_URL is Mistral.rs"
    )


def from_message(message: str, *, model: str, status: int = 500) -> ProxyError:
    """Translate an error's text, which says more than the engine's status does."""
    return _quoting(_from_message(message, model=model, status=status))


def _quoting(error: ProxyError) -> ProxyError:
    """Mark an error whose text has words of the engine's, which may repeat the prompt."""
    error.loggable = False
    return error


def _from_message(message: str, *, model: str, status: int) -> ProxyError:
    lowered = message.lower()
    if lowered.startswith("requested model") and "not available" in lowered:
        return ModelNotFound(f"model '{model}' not found")
    if "is being reloaded" in lowered or POISONED in message:
        return EngineUnavailable(f"{message}; try again in a moment")
    if lowered.startswith(_CLIENT_FAULTS):
        return EngineRejected(message, status=HTTPStatus.BAD_REQUEST)
    if _is_foreign(status):
        return EngineProtocolError(
            f"the server behind MISTRAL_URL answered with status {status}: {message}; "
            "check that MISTRAL_URL is Mistral.rs"
        )
    return EngineRejected(message, status=_status(status))


def from_event(payload: bytes, *, model: str) -> ProxyError:
    """Translate an event that is no chunk: an error object, or plain text in older releases."""
    message = _message(payload)
    if not message:
        return EngineProtocolError("the engine sent an event that is neither a chunk nor an error")
    return from_message(message, model=model)


def _is_foreign(status: int) -> bool:
    """Tell whether no request of ours is answered this way by the engine we know."""
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _CLIENT_STATUSES


def _status(status: int) -> HTTPStatus:
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return HTTPStatus.BAD_REQUEST
    if status in _CLIENT_STATUSES or status in _GATEWAY_STATUSES:
        return HTTPStatus(status)
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _message(body: bytes) -> str:
    text = body.decode("utf-8", errors="replace").strip()
    try:
        value = decode_reply(body)
    except ValueError:
        return "" if text.startswith("<") else text
    if not isinstance(value, dict):
        return ""
    return _message_in(cast("JsonObject", value))


def _message_in(value: JsonObject) -> str:
    if isinstance(response := value.get("response"), dict):
        value = response  # of the Responses API, whose events wrap it
    error = value.get("error", value.get("message"))
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else ""
