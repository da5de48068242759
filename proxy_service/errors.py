"""Everything that can go wrong with a request.

::

    ProxyError (status, error_type)
      RequestError: the client's fault, whatever its status
        InvalidRequest 400 · Unauthorized 401 · ModelNotFound 404 · BodyTooLarge 413
        TooManyWrongKeys 429 · UnsupportedFeature 400 · NotImplementedHere 501
          EndpointMissing 501
      EngineError: the engine's fault
        EngineUnavailable 503    it can't be reached, or hasn't loaded the model
        EngineTimeout 504        it was silent for too long
        EngineRejected           it replied with an error of its own
        EngineProtocolError 502  its reply isn't what its API promises
        StreamInterrupted 502    it failed after the first byte was sent
      Overloaded 503, ShuttingDown 503: neither side's fault; a retry makes sense
      InternalError 500: the proxy's fault

``error_type`` is the label of ``mistral_request_errors_total`` and the field in the log. Whose
fault it is, and so whether it can make an alert fire, depends on the class alone: clients get some
of their own faults with a 5xx, as from Ollama, and engines send some of theirs with a 4xx.
"""

# ruff: noqa: N818  leaves of the tree are named after the fault, only branches end in Error

from http import HTTPStatus
from typing import Literal, get_args

ErrorType = Literal[
    "invalid_request",
    "unauthorized",
    "model_not_found",
    "not_supported",
    "overloaded",
    "upstream_connect",
    "upstream_timeout",
    "upstream_status",
    "upstream_protocol",
    "stream_interrupted",
    "shutting_down",
    "internal",
]
ERROR_TYPES: tuple[ErrorType, ...] = get_args(ErrorType)

_LONGEST_MESSAGE = 2000  # characters


class ProxyError(Exception):
    """A request that fails; the text is written for the person who sent it."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    error_type: ErrorType = "internal"
    # Whether the engine took too long.
    timed_out = False
    # Whether the text may be logged. It may not if it quotes the request or the engine, because the
    # quotation could be part of a prompt.
    loggable = True
    # Seconds after which a retry makes sense; 0 if none does.
    retry_after_seconds = 0

    @property
    def message(self) -> str:
        """The text for the client, cut if it is too long."""
        text = str(self.args[0]) if self.args else self.error_type
        return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]}…"

    def forget_origin(self) -> None:
        """Drop the traceback, and the errors before this one.

        Their frames hold the request. Together with a request that holds its error, they would keep
        it in memory until the garbage collector runs.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the response gets because of the error."""
        after = self.retry_after_seconds
        return {"Retry-After": str(after)} if after else {}


class RequestError(ProxyError):
    """The client's fault."""

    loggable = False
    status = HTTPStatus.BAD_REQUEST
    error_type: ErrorType = "invalid_request"


class InvalidRequest(RequestError):
    """The proxy or the engine finds the request invalid; Ollama's status for some of it is 500."""

    def __init__(self, message: str, *, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = HTTPStatus(status)


class BodyTooLarge(RequestError):
    """The body is longer than the proxy accepts."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Unauthorized(RequestError):
    """The request has none of the keys that open its path."""

    status = HTTPStatus.UNAUTHORIZED
    error_type: ErrorType = "unauthorized"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that say how to send a key."""
        return super().headers | {"WWW-Authenticate": "Bearer"}


class TooManyWrongKeys(Unauthorized):
    """The client's address has sent so many wrong keys that it has to wait."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    retry_after_seconds = 10

    def __init__(self) -> None:
        super().__init__("too many wrong API keys came from this address; try again in a moment")


class ModelNotFound(RequestError):
    """The engine serves no model with this name."""

    status = HTTPStatus.NOT_FOUND
    error_type: ErrorType = "model_not_found"


class UnsupportedFeature(RequestError):
    """Ollama supports this with some models; the engine behind this proxy doesn't."""

    error_type: ErrorType = "not_supported"


class NotImplementedHere(RequestError):
    """An endpoint of Ollama's that the engine has no counterpart for."""

    status = HTTPStatus.NOT_IMPLEMENTED
    error_type: ErrorType = "not_supported"


class EndpointMissing(NotImplementedHere):
    """An endpoint that only some engines have, and this one doesn't."""

    def __init__(self, path: str) -> None:
        super().__init__(f"the engine behind this server has no {path}")


class EngineError(ProxyError):
    """The engine's fault."""

    status = HTTPStatus.BAD_GATEWAY
    error_type: ErrorType = "upstream_protocol"


class EngineUnavailable(EngineError):
    """The engine can't be reached, or isn't ready."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    error_type: ErrorType = "upstream_connect"


class EngineTimeout(EngineError):
    """The engine was silent for longer than the settings allow."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    error_type: ErrorType = "upstream_timeout"
    timed_out = True


class EngineRejected(EngineError):
    """The engine replied with an error that isn't the client's fault."""

    error_type: ErrorType = "upstream_status"

    def __init__(self, message: str, *, status: HTTPStatus) -> None:
        super().__init__(message)
        self.status = status
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            self.error_type = "overloaded"


class EngineProtocolError(EngineError):
    """The engine's reply isn't what its API promises."""


class StreamInterrupted(EngineError):
    """The engine failed after a part of the response was sent."""

    error_type: ErrorType = "stream_interrupted"

    def __init__(self, cause: EngineError) -> None:
        super().__init__(cause.message)
        self.loggable = cause.loggable


class Overloaded(ProxyError):
    """The queue is full, or the bodies of all requests together are too large."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    error_type: ErrorType = "overloaded"
    retry_after_seconds = 5

    def __init__(self, reason: str = "maximum pending requests exceeded") -> None:
        # Ollama's own words, with two spaces: its clients recognise them.
        super().__init__(f"server busy, please try again.  {reason}")


class ShuttingDown(ProxyError):
    """The proxy is stopping, and this request was queued or outlasted the grace period."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    error_type: ErrorType = "shutting_down"
    retry_after_seconds = 5

    def __init__(self) -> None:
        super().__init__("the server is shutting down; try again in a moment")


class InternalError(ProxyError):
    """A fault of the proxy; only its log has the details."""
