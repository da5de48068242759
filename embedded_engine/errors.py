"""The errors of the embedded engine.

EngineError
  StartError: the process ends with its message and exit code 1
    ModelError: the model can't be found, fetched or loaded
    PortTakenError: another process listens there
  RequestError: a status and a text
    the request is at fault:
      UnreadableRequestError 400/413/415/422 · text/plain, as from the real server
      RefusedRequestError 400/422 · {"message": ..., "type": "invalid_request_error"}
    the engine is at fault:
      FailedRequestError 500/503 · {"message": ..., "type": "server_error"}
"""


class EngineError(Exception):
    """Base of all errors of this package."""


class StartError(EngineError):
    """The server can't start; the message says what to do."""


class ModelError(StartError):
    """The model can't be found, fetched or loaded."""


class PortTakenError(StartError):
    """The address is taken, or can't be listened on."""


class RequestError(EngineError):
    """A request that gets an error instead of a reply."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnreadableRequestError(RequestError):
    """The body isn't what the endpoint accepts; the reply is plain text."""


class RefusedRequestError(RequestError):
    """The request is understood, but can't be done; sending it again would change nothing."""

    def __init__(self, message: str, *, status: int = 422) -> None:
        super().__init__(message, status=status)


class FailedRequestError(RequestError):
    """The engine failed at a request that may be valid."""

    def __init__(self, message: str, *, status: int = 500) -> None:
        super().__init__(message, status=status)
