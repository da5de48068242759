"""The engine's errors, read from a status and a body or from an event within a stream."""

import json
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

# Phrases by which the engine names faults of the request, though it answers most with a 500.
_CLIENT_FAULTS = (
    "prompt sequence length is greater",
    "incompatible for this model's category",
    "must be at least",
    "chat template",
    "image",
    "grammar",
    "schema",
    "kv cache capacity",
)
_LONGEST_MESSAGE = 2000
POISONED = "EnginePoisoned"


def from_reply(status: int, body: bytes, *, model: str) -> ProxyError:
    """Translate a reply that is not a success.

    Args:
        status: The engine's HTTP status.
        body: ``{"message": ...}``, OpenAI's ``{"error": {"message": ...}}`` or plain text.
        model: The name that the client used, for the text of a 404.
    """
    message = _message(body) or f"the engine answered with status {status} and no reason"
    if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        return InternalError(f"the engine refused the proxy's request: {message}")
    return from_message(message, model=model, status=status)


def from_message(message: str, *, model: str, status: int = 500) -> ProxyError:
    """Translate an error's text, which says more than the engine's status does."""
    message = message[:_LONGEST_MESSAGE]
    lowered = message.lower()
    if lowered.startswith("requested model") and "not available" in lowered:
        return ModelNotFound(f"model '{model}' not found")
    if "is being reloaded" in lowered or POISONED in message:
        return EngineUnavailable(f"{message}; try again in a moment")
    if any(phrase in lowered for phrase in _CLIENT_FAULTS):
        return EngineRejected(message, status=HTTPStatus.BAD_REQUEST)
    return EngineRejected(message, status=_status(status))


def from_event(payload: bytes, *, model: str) -> ProxyError:
    """Translate an event that is no chunk: an error object, or plain text in older releases."""
    message = _message(payload)
    if not message:
        return EngineProtocolError("the engine sent an event that is neither a chunk nor an error")
    return from_message(message, model=model)


def _status(status: int) -> HTTPStatus:
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
        return HTTPStatus(status)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return HTTPStatus.SERVICE_UNAVAILABLE
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return HTTPStatus.BAD_REQUEST
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return HTTPStatus.INTERNAL_SERVER_ERROR
    return HTTPStatus.BAD_GATEWAY


def _message(body: bytes) -> str:
    text = body.decode("utf-8", errors="replace").strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith("<") else text
    if not isinstance(value, dict):
        return ""
    return _message_in(cast("JsonObject", value))


def _message_in(value: JsonObject) -> str:
    error = value.get("error", value.get("message"))
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else ""
