"""How the routes call the engine, and how its errors are handled.

docs/adr/0010 says which calls are repeated, and why no others are.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple, TypeVar

from proxy_service.engines.client import EngineReply
from proxy_service.errors import EngineError, EngineTimeout, ProxyError, StreamInterrupted
from proxy_service.exchange import Exchange
from proxy_service.translate.engine_errors import POISONED

_Result = TypeVar("_Result")


class Call(NamedTuple):
    """A POST of the exchange's body to the engine's ``path``; see `Engine.request`."""

    path: str
    streamed: bool = False


async def call_engine(
    exchange: Exchange,
    call: Call,
    read: Callable[[EngineReply], Awaitable[_Result]],
    refusal: Callable[[int, bytes], ProxyError],
    *,
    just_loaded: bool,
) -> _Result:
    """Call the engine, and return what ``read`` returns for a reply with status 200.

    Args:
        exchange: The client's request; it holds the body until the engine has accepted it.
        call: What to send.
        read: Reads the reply while its connection is open.
        refusal: Returns the error for another status and its body.
        just_loaded: Whether the model was loaded for this request. If so, the call is repeated
            once when the engine reports that the model is poisoned.

    Raises:
        ProxyError: The error that ``refusal`` returned, or one of `Engine.request`.
    """
    async with exchange.services.engine.request(
        "POST",
        call.path,
        body=exchange.body,
        request_id=exchange.record.request_id,
        streamed=call.streamed,
    ) as reply:
        if reply.status == HTTPStatus.OK:
            exchange.release_body()
            return await read(reply)
        reason = await reply.body()
    if just_loaded and POISONED.encode() in reason:
        return await call_engine(exchange, call, read, refusal, just_loaded=False)
    raise refusal(reply.status, reason)


def within_stream(error: ProxyError) -> ProxyError:
    """Return the error that counts once part of the response was sent."""
    error.forget_origin()  # its connection keeps it
    if isinstance(error, EngineError) and not isinstance(error, EngineTimeout):
        return StreamInterrupted(error)
    return error
