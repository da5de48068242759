"""Translates the engine's errors, which it sends as a status with a body or as an event.

Whose fault an error is depends on its message and not on its status, so that whole replies and
streams agree: an event has no status.
"""

from http import HTTPStatus
from typing import cast

from proxy_service.errors import (
    EngineProtocolError,
    EngineRejected,
    EngineUnavailable,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    ProxyError,
)
from proxy_service.settings.stack_names import named
from proxy_service.translate.client_faults import is_client_fault
from proxy_service.wire import JsonObject
from proxy_service.wire.reading import decode_reply, is_json

# The statuses below 500 that the engine sends in reply to the proxy's requests.
_ENGINE_STATUSES = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
)
# Statuses of an engine that doesn't have the endpoint.
ABSENT = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
# Statuses that are passed on to the client.
_PASSED_ON = (
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
POISONED = "EnginePoisoned"
_FAILED = "the engine failed while generating"


def parse_reply(body: bytes) -> object:
    """Decode a whole reply of the engine.

    Raises:
        EngineProtocolError: It isn't JSON, so it probably isn't from an engine.
    """
    try:
        return decode_reply(body)
    except ValueError as error:
        raise EngineProtocolError(
            "the engine's reply isn't JSON; "
            f"check that {named('MISTRAL_URL')} is the URL of Mistral.rs"
        ) from error


def check_reply(body: bytes) -> None:
    """Check that a whole reply of the engine is JSON, without decoding it, which takes much memory.

    Raises:
        EngineProtocolError: It isn't.
    """
    if not is_json(body):
        parse_reply(body)  # in case it has numbers that only some decoders read


def from_reply(status: int, body: bytes, *, model: str) -> ProxyError:
    """Translate a reply whose status isn't 200.

    Args:
        status: The engine's HTTP status.
        body: ``{"message": ...}``, OpenAI's ``{"error": {"message": ...}}`` or plain text.
        model: The model's name as the client sent it, for the text of a 404.
    """
    found, refused = _read(body)
    message = found or f"the engine sent status {status} without a reason"
    if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        return _quoting(InternalError(f"the engine refused the proxy's request: {message}"))
    return from_message(message, model=model, status=status, refused=refused)


def no_model_list(status: int, body: bytes) -> EngineProtocolError:
    """Translate a reply to ``GET /v1/models`` whose status isn't 200; clients can't cause it."""
    reason = _read(body)[0] or "no reason"
    return EngineProtocolError(
        f"the server at {named('MISTRAL_URL')} sent status {status} instead of its models: "
        f"{reason}; check that it is the URL of Mistral.rs"
    )


def from_message(
    message: str, *, model: str, status: int = 500, refused: bool = False
) -> ProxyError:
    """Translate an error message, which says more than the engine's status.

    ``refused`` is whether the engine calls the request invalid, as the embedded engine does.
    """
    return _quoting(_from_message(message, model=model, status=status, refused=refused))


def _quoting(error: ProxyError) -> ProxyError:
    """Keep an error's text out of the log: it quotes the engine, which may quote the prompt."""
    error.loggable = False
    return error


def _from_message(message: str, *, model: str, status: int, refused: bool) -> ProxyError:
    lowered = message.lower()
    if lowered.startswith("requested model") and "not available" in lowered:
        return ModelNotFound(f"model '{model}' not found")
    if "is being reloaded" in lowered or POISONED in message:
        return EngineUnavailable(f"{message}; try again in a moment")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return InvalidRequest(message, status=status)
    if is_client_fault(message) or (refused and not _is_foreign(status)):
        return InvalidRequest(message)
    if _is_foreign(status):
        return EngineProtocolError(
            f"the server at {named('MISTRAL_URL')} sent status {status}: {message}; "
            "check that it is the URL of Mistral.rs"
        )
    known = status if status in _PASSED_ON else HTTPStatus.INTERNAL_SERVER_ERROR
    return EngineRejected(message, status=HTTPStatus(known))


def failed_while_generating(reply: object, *, model: str) -> ProxyError:
    """Translate a whole reply, or the last event of a stream, that says that it failed."""
    message = _message_in(cast("JsonObject", reply)) if isinstance(reply, dict) else ""
    return from_message(message or _FAILED, model=model, refused=_says_refused(reply))


def from_event(payload: bytes, *, model: str) -> ProxyError:
    """Translate an event that carries an error: an object, or plain text in older releases."""
    message, refused = _read(payload)
    if not message:
        return EngineProtocolError("the engine sent an event of an unknown format")
    return from_message(message, model=model, refused=refused)


def _says_refused(value: object) -> bool:
    """Return whether an error has OpenAI's type for invalid requests."""
    error = value.get("error", value) if isinstance(value, dict) else None
    return isinstance(error, dict) and error.get("type") == "invalid_request_error"


def _is_foreign(status: int) -> bool:
    """Return whether Mistral.rs never sends this status in reply to the proxy's requests."""
    return status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _ENGINE_STATUSES


def _read(body: bytes) -> tuple[str, bool]:
    """Return an error's message, and whether the engine calls the request invalid."""
    text = body.decode("utf-8", errors="replace").strip()
    try:
        value = decode_reply(body)
    except ValueError:
        return "" if text.startswith("<") else text, False
    if not isinstance(value, dict):
        return "", False
    return _message_in(cast("JsonObject", value)), _says_refused(value)


def _message_in(value: JsonObject) -> str:
    if isinstance(response := value.get("response"), dict):
        value = response  # the Responses API wraps its error
    error = value.get("error", value.get("message"))
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) else ""
