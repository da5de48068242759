"""How routes have the engine work: one request, or the same once more where nothing was done.

docs/adr/0010 tells what is sent again, and why nothing else is.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple, TypeVar

from proxy_service.engines.client import EngineReply
from proxy_service.errors import ProxyError
from proxy_service.exchange import Exchange
from proxy_service.translate.engine_errors import POISONED

_Answer = TypeVar("_Answer")


class Work(NamedTuple):
    """What the engine is to do: a POST of ``body`` to ``path``; see `Engine.request`."""

    path: str
    body: bytes
    streamed: bool = False


async def ask(
    exchange: Exchange,
    work: Work,
    answer: Callable[[EngineReply], Awaitable[_Answer]],
    refusal: Callable[[int, bytes], ProxyError],
    *,
    just_loaded: bool,
) -> _Answer:
    """Send ``work`` to the engine, and give what ``answer`` makes of a reply with status 200.

    Args:
        exchange: The request that this is for.
        work: What to send.
        answer: Reads the reply, while its connection is held.
        refusal: Gives the error that another status and the body behind it tell.
        just_loaded: Whether this request had the model loaded: then the engine may refuse once.

    Raises:
        ProxyError: What ``refusal`` gave, or `Engine.request` raises.
    """
    async with exchange.services.engine.request(
        "POST",
        work.path,
        body=work.body,
        request_id=exchange.record.request_id,
        streamed=work.streamed,
    ) as reply:
        if reply.status == HTTPStatus.OK:
            return await answer(reply)
        reason = await reply.body()
    if just_loaded and POISONED.encode() in reason:
        return await ask(exchange, work, answer, refusal, just_loaded=False)
    raise refusal(reply.status, reason)
