"""The errors of the embedded engine.

EngineError
  StartError: the process ends with its message and exit code 1
    ModelError: the model can't be found, fetched or loaded
    PortTakenError: something else listens there
  RequestError: answered with a status and a text, shaped as the real server does
    UnreadableRequestError 400/413/415/422 · text/plain
    RefusedRequestError 500, or 422 once the engine has looked at the prompt · {"message": ...}
"""


class EngineError(Exception):
    """Base of all errors of this package."""


class StartError(EngineError):
    """The server can't start; the message says what to do."""


class ModelError(StartError):
    """The model can't be found, fetched or loaded."""


class PortTakenError(StartError):
    """Nothing can listen on the address asked for."""


class RequestError(EngineError):
    """A request that gets an error instead of a reply."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class UnreadableRequestError(RequestError):
    """The body is not what the endpoint takes; answered as plain text."""


class RefusedRequestError(RequestError):
    """Understood, but refused; answered as `{"message": ...}`."""
