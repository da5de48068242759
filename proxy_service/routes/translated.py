"""``/v1/messages`` and ``/v1/responses`` for engines that don't have them.

They are translated to chat completions and back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from proxy_service.clock import NS_PER_SECOND
from proxy_service.engines.client import EngineReply
from proxy_service.errors import EngineProtocolError, ProxyError
from proxy_service.exchange import EVENT_STREAM, Exchange
from proxy_service.routes.engine_call import Call, call_engine, within_stream
from proxy_service.server.connection import HTTPResponse
from proxy_service.streaming.anthropic import MessagesStream
from proxy_service.streaming.engine_stream import Batch
from proxy_service.streaming.responses import ResponsesStream
from proxy_service.streaming.translated import TranslatedStream
from proxy_service.translate.anthropic.replies import to_message
from proxy_service.translate.anthropic.requests import stop_strings, to_engine_chat
from proxy_service.translate.engine_errors import from_reply
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.replies import only_choice, read_completion
from proxy_service.translate.responses import requests
from proxy_service.translate.responses.replies import ENCRYPTED, Frame, repeated, to_response
from proxy_service.translate.responses.tools import Tools
from proxy_service.wire import JsonObject
from proxy_service.wire.anthropic import read_messages
from proxy_service.wire.engine import Completion
from proxy_service.wire.engine_paths import CHAT_COMPLETIONS, MESSAGES, RESPONSES
from proxy_service.wire.responses import read_request


@dataclass(frozen=True, slots=True)
class Translation:
    """How the reply to one request is translated back.

    It is held while the engine generates, and keeps no more of the request than that needs.
    """

    model: str
    streamed: bool
    stream: TranslatedStream
    to_response: Callable[[Completion], JsonObject]


# A translation, and the body of the chat completion.
Made = tuple[Translation, JsonObject]


def _messages(exchange: Exchange, fields: JsonObject, model: EngineModel) -> Made:
    request, name = read_messages(fields), str(fields["model"])
    message_id = f"msg_{exchange.record.request_id}"
    stops = tuple(stop_strings(request))
    translation = Translation(
        name,
        bool(request.stream),
        MessagesStream(message_id=message_id, model=name, stops=stops),
        partial(to_message, message_id=message_id, model=name),
    )
    return translation, to_engine_chat(request, model)


def _responses(exchange: Exchange, fields: JsonObject, model: EngineModel) -> Made:
    request, name = read_request(fields), str(fields["model"])
    tools = Tools(request)
    frame = Frame(
        sent=repeated(fields),
        tools=tools.names(),
        model=name,
        key=exchange.record.request_id,
        created_at=exchange.services.clock.time_ns() // NS_PER_SECOND,
        encrypted=ENCRYPTED in (request.include or []),
    )
    translation = Translation(
        name,
        bool(request.stream),
        ResponsesStream(frame),
        partial(to_response, frame=frame),
    )
    return translation, requests.to_engine_chat(request, tools, model)


Translate = Callable[[Exchange, JsonObject, EngineModel], Made]

# For each endpoint that can be translated, a function of a request, its body and its model.
TRANSLATIONS: dict[str, Translate] = {MESSAGES: _messages, RESPONSES: _responses}


async def generate(
    exchange: Exchange, translation: Translation, *, just_loaded: bool
) -> HTTPResponse | None:
    """Answer by way of a chat completion, whose body the exchange has; it must have a slot."""
    return await call_engine(
        exchange,
        Call(CHAT_COMPLETIONS, streamed=translation.streamed),
        partial(_respond, exchange, translation),
        partial(from_reply, model=translation.model),
        just_loaded=just_loaded,
    )


async def _respond(
    exchange: Exchange, translation: Translation, reply: EngineReply
) -> HTTPResponse | None:
    if translation.streamed:
        await _stream(exchange, reply, translation.stream)
        return None
    return await _whole(exchange, reply, translation)


async def _whole(exchange: Exchange, reply: EngineReply, translation: Translation) -> HTTPResponse:
    body = await reply.body()
    try:
        completion = read_completion(body, model=translation.model)
        response = translation.to_response(completion)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineProtocolError("the engine's reply has an unknown format") from error
    finish_reason = only_choice(completion).get("finish_reason")
    exchange.record.completed(completion.get("usage"), finish_reason, waited=reply.waited)
    return exchange.json(response)


async def _stream(exchange: Exchange, reply: EngineReply, stream: TranslatedStream) -> None:
    try:
        async for data in reply.iter_bytes():
            batch = stream.feed(data)
            reply.keep(stream.held)
            await _write(exchange, reply, stream, batch)
            if stream.done:
                reply.discard_rest()
                return
        await _write(exchange, reply, stream, stream.close())
    except ProxyError as error:
        if not exchange.streaming:
            raise
        failure = within_stream(error)
        ending = stream.failed(failure)
        await exchange.fail(failure, content_type=EVENT_STREAM, ending=ending)


async def _write(
    exchange: Exchange, reply: EngineReply, stream: TranslatedStream, batch: Batch
) -> None:
    waited = reply.waited
    await exchange.write(batch, content_type=EVENT_STREAM, waited=waited, end=stream.done)
    if stream.done:
        exchange.record.completed(stream.usage, stream.finish_reason, waited=waited)
    if batch.error is not None:
        raise batch.error
