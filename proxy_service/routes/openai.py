"""``/v1/*``: OpenAI's and Anthropic's APIs; bodies are passed through to the engine unchanged.

The proxy reads the request's model, so that Ollama's names work here too, and as much of the reply
as the metrics need. Errors have the format of the API that was called.
"""

import logging
from functools import partial
from urllib.parse import unquote

from proxy_service.engines.client import MAX_EMBEDDINGS_BYTES, EngineReply
from proxy_service.errors import (
    EndpointMissing,
    InvalidRequest,
    ModelNotFound,
    NotImplementedHere,
    ProxyError,
)
from proxy_service.exchange import EVENT_STREAM, Exchange
from proxy_service.routes import translated
from proxy_service.routes.engine_call import Call, call_engine, within_stream
from proxy_service.server.connection import HTTPResponse
from proxy_service.streaming.passthrough import PassthroughStream
from proxy_service.telemetry.metrics import GENERATION_ENDPOINTS
from proxy_service.translate.engine_errors import (
    ABSENT,
    check_reply,
    failed_while_generating,
    from_reply,
    parse_reply,
)
from proxy_service.translate.engine_tools import refuse_engine_tools, without_web_search
from proxy_service.translate.grammars import refuse_large_grammars
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.replies import finish_reason_of, to_usage
from proxy_service.translate.schemas.deadly import refuse_deadly_numbers
from proxy_service.wire import JsonObject, engine_paths
from proxy_service.wire.reading import decode_object, fold_keys

logger = logging.getLogger("proxy_service.openai")

# Where `Services.reported_options` remembers that it was logged.
_WEB_SEARCH = "/v1/responses web_search"


async def models(exchange: Exchange) -> HTTPResponse:
    """Answer ``GET /v1/models``."""
    body, content_type = await exchange.services.catalogue.raw_list()
    return exchange.response(body, content_type=content_type)


async def model(exchange: Exchange, name: str) -> HTTPResponse:
    """Answer ``GET /v1/models/:model``, which the engine doesn't have; list all without a name."""
    if not name:
        return await models(exchange)
    found = await exchange.services.catalogue.find(unquote(name))
    return exchange.json(
        {"id": found.id, "object": "model", "created": found.created, "owned_by": "library"}
    )


async def generate(exchange: Exchange) -> HTTPResponse | None:
    """Answer a POST by passing it through to the same path of the engine.

    If the engine doesn't have the path, the request is translated to chat completions, if it can.
    """
    path = exchange.request.path.rstrip("/")
    name, found = await exchange.translated(_translate)
    services, translate = exchange.services, translated.TRANSLATIONS.get(path)
    missing = services.missing_endpoints
    async with services.admission.slot(), services.catalogue.loaded(found) as load_ns:
        if translate is None or path not in missing:
            try:
                return await call_engine(
                    exchange,
                    Call(path, streamed=exchange.record.asked_for_stream),
                    partial(_respond, exchange, name),
                    partial(_refusal, path, name),
                    just_loaded=load_ns > 0,
                )
            except EndpointMissing:
                if translate is None:
                    raise
                missing.add(path)
        return await _translated(exchange, name, found, translate, just_loaded=load_ns > 0)


def _translate(exchange: Exchange) -> tuple[str, EngineModel]:
    """Return the model's name as it was sent, and the model."""
    sent = decode_object(exchange.body, "ChatCompletionRequest")
    fields = fold_keys(sent)
    name = fields.get("model")
    if not isinstance(name, str) or not name:
        raise InvalidRequest("model is required")
    exchange.record.asked_for_stream = fields.get("stream") is True
    if not exchange.services.settings.allow_engine_tools:
        if exchange.request.path.rstrip("/") == engine_paths.RESPONSES:
            fields = _without_web_search(exchange, fields)
        refuse_engine_tools(fields)
    refuse_large_grammars(sent)
    refuse_deadly_numbers(sent)
    _refuse_empty_stops(sent)
    found = exchange.listed(name)
    # The client used another name, something was left out, or a key such as "Files" hid another one
    # from the checks, which the engine would read.
    if name != found.id or fields is not sent:
        exchange.replace_body(fields | {"model": found.id})
    return name, found


def _refuse_empty_stops(body: JsonObject) -> None:
    """Refuse an empty stop string, which ends the thread of Mistral.rs 0.8.1 that generates."""
    for key, value in body.items():
        if key.lower() in {"stop", "stop_sequences"} and "" in (
            value if isinstance(value, list) else [value]
        ):
            raise InvalidRequest(f"'{key}' has an empty string; leave it out")


async def _translated(
    exchange: Exchange,
    name: str,
    found: EngineModel,
    translate: translated.Translate,
    *,
    just_loaded: bool,
) -> HTTPResponse | None:
    """Answer by way of a chat completion; the exchange still has the request's body."""

    def make() -> translated.Translation:
        fields = fold_keys(decode_object(exchange.body, "Request")) | {"model": name}
        made, body = translate(exchange, fields, found)
        exchange.replace_body(body)
        return made

    translation = await exchange.work(make)
    return await translated.generate(exchange, translation, just_loaded=just_loaded)


def _without_web_search(exchange: Exchange, fields: JsonObject) -> JsonObject:
    """Leave the engine's web search out, and log once that this happens."""
    kept = without_web_search(fields)
    if kept is None:
        return fields
    reported = exchange.services.reported_options
    if _WEB_SEARCH not in reported:
        reported.add(_WEB_SEARCH)
        logger.warning("engine_tool_left_out", extra={"fields": {"tool": "web_search"}})
    return kept


async def _respond(exchange: Exchange, name: str, reply: EngineReply) -> HTTPResponse | None:
    if reply.content_type.lower().startswith(EVENT_STREAM):
        stream = PassthroughStream(model=name)
        await _stream(exchange, reply, stream)
        return None
    return await _whole(exchange, reply)


async def transcriptions(exchange: Exchange) -> HTTPResponse:
    """Refuse ``POST /v1/audio/transcriptions``."""
    del exchange
    raise NotImplementedHere("this server can't transcribe audio: Mistral.rs has no such endpoint")


def _refusal(path: str, name: str, status: int, body: bytes) -> ProxyError:
    error = from_reply(status, body, model=name)
    absent = status in ABSENT and not isinstance(error, ModelNotFound)
    if absent and path in engine_paths.OPTIONAL:
        return EndpointMissing(path)
    return error


async def _whole(exchange: Exchange, reply: EngineReply) -> HTTPResponse:
    if exchange.record.endpoint in GENERATION_ENDPOINTS:
        body = await reply.body()
        _count(exchange, reply, body)
    else:
        body = await reply.body(MAX_EMBEDDINGS_BYTES)
        check_reply(body)
    return exchange.response(body, content_type=reply.content_type)


def _count(exchange: Exchange, reply: EngineReply, body: bytes) -> None:
    """Count the tokens of a whole generation."""
    value = parse_reply(body)
    if isinstance(value, dict):
        record, reason = exchange.record, finish_reason_of(value)
        if reason == "error":
            record.error = failed_while_generating(value, model=record.model)
        record.completed(to_usage(value.get("usage")), reason or "stop", waited=reply.waited)


async def _stream(exchange: Exchange, reply: EngineReply, stream: PassthroughStream) -> None:
    try:
        async for data in reply.iter_bytes():
            batch = stream.feed(data)
            reply.keep(stream.held)
            if batch.error is not None and not exchange.streaming and not batch.chunks:
                raise batch.error
            if batch.error is not None:
                exchange.record.error = within_stream(batch.error)
            await exchange.write(
                batch, content_type=reply.content_type, waited=reply.waited, end=stream.done
            )
            if stream.done:
                # Don't wait for the engine to close the stream; nothing more is needed from it.
                reply.discard_rest()
                break
        else:
            batch = stream.close()
            if batch.error is not None and exchange.record.error is None:
                raise batch.error
            await exchange.write(
                batch, content_type=reply.content_type, waited=reply.waited, end=True
            )
    except ProxyError as error:
        if not exchange.streaming:
            raise
        await exchange.fail(within_stream(error), content_type=reply.content_type)
    else:
        _count_stream(exchange, reply, stream)


def _count_stream(exchange: Exchange, reply: EngineReply, stream: PassthroughStream) -> None:
    """Count a generation whose stream was passed on to its end, unless it failed."""
    record = exchange.record
    if record.error is None and stream.finish_reason == "error":
        record.error = within_stream(failed_while_generating({}, model=record.model))
    if record.error is None:
        record.completed(stream.usage, stream.finish_reason or "stop", waited=reply.waited)
