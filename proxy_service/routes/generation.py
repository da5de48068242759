"""``/api/chat`` and ``/api/generate``."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from proxy_service.engines.client import MAX_REPLY_BYTES, EngineReply
from proxy_service.errors import (
    EngineProtocolError,
    InvalidRequest,
    ModelNotFound,
    ProxyError,
)
from proxy_service.exchange import EVENT_STREAM, NDJSON, Exchange
from proxy_service.routes.engine_call import Call, call_engine, within_stream
from proxy_service.server.connection import HTTPResponse
from proxy_service.streaming.engine_stream import Batch
from proxy_service.streaming.lines import to_line
from proxy_service.streaming.ollama import OllamaStream, StreamOptions
from proxy_service.streaming.whole import WholeResponse
from proxy_service.translate.context import decode_turns, encode_turns, fits
from proxy_service.translate.engine_errors import from_reply
from proxy_service.translate.engine_tools import refuse_engine_run
from proxy_service.translate.models.capabilities import refuse_incapable
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.options import stop_strings, unknown_options
from proxy_service.translate.replies import (
    only_choice,
    read_completion,
    to_ollama_chat,
    to_ollama_generate,
)
from proxy_service.translate.requests import (
    to_engine_chat,
    to_engine_format,
    to_engine_generate,
    to_engine_raw,
)
from proxy_service.translate.schemas.deadly import refuse_in_schemas
from proxy_service.translate.schemas.translation import GrammarSchema
from proxy_service.wire import JsonObject
from proxy_service.wire.engine_paths import CHAT_COMPLETIONS, COMPLETIONS
from proxy_service.wire.ollama import Common, GenerateRequest, parse_chat, parse_generate

logger = logging.getLogger("proxy_service.generation")

_MAX_LOGGED_OPTIONS = 100
# Characters of an option's name that are kept and logged.
_LOGGED_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class _Job:
    """One generation, or without a ``path`` only the loading or unloading of a model.

    It holds nothing that grows with the request; the exchange has its body. With ``as_lines`` the
    engine is asked for a whole reply, which the client gets as lines: raw completions report their
    counts only in whole replies.
    """

    model: EngineModel
    options: StreamOptions
    keep_alive_seconds: float | None
    path: str = ""
    streamed: bool = False
    as_lines: bool = False


async def chat(exchange: Exchange) -> HTTPResponse | None:
    """Answer ``POST /api/chat``."""
    return await _answer(exchange, await exchange.translated(_translate_chat))


async def generate(exchange: Exchange) -> HTTPResponse | None:
    """Answer ``POST /api/generate``."""
    return await _answer(exchange, await exchange.translated(_translate_generate))


def _translate_chat(exchange: Exchange) -> _Job:
    request = parse_chat(exchange.body)
    common = request.common
    if not common.model:
        raise InvalidRequest("model is required")
    exchange.record.asked_for_stream = common.stream and bool(request.messages)
    if not exchange.services.settings.allow_engine_tools:
        refuse_engine_run(request.tools)
    refuse_in_schemas(request.tools)
    model = exchange.listed(common.model)
    refuse_incapable(model.details, common, job="chat", tools=bool(request.tools))
    if not request.messages:
        return _load_job(common, model, chat=True)
    _hold(exchange, to_engine_chat(request, model, _format(exchange, common)), common)
    options = _stream_options(common, chat=True)
    return _Job(model, options, common.keep_alive_seconds, CHAT_COMPLETIONS, common.stream)


def _translate_generate(exchange: Exchange) -> _Job:
    request = parse_generate(exchange.body)
    common = request.common
    if not common.model:
        raise ModelNotFound("model '' not found")
    exchange.record.asked_for_stream = common.stream and bool(request.prompt)
    model = exchange.listed(common.model)
    refuse_incapable(model.details, common, job="generate")
    if not request.prompt:
        return _load_job(common, model, chat=False)
    keep_alive, wanted = common.keep_alive_seconds, _format(exchange, common)
    if request.raw:
        _hold(exchange, to_engine_raw(request, model, wanted), common)
        options = _stream_options(common, chat=False)
        return _Job(model, options, keep_alive, COMPLETIONS, as_lines=common.stream)
    _hold(exchange, to_engine_generate(request, model, wanted), common)
    options = _stream_options(common, chat=False, context_of=_context_of(request))
    return _Job(model, options, keep_alive, CHAT_COMPLETIONS, common.stream)


def _format(exchange: Exchange, common: Common) -> GrammarSchema | None:
    """Translate the format; log each keyword that the engine can't enforce, once."""
    wanted = to_engine_format(common.format)
    reported = exchange.services.reported_keywords
    for keyword in sorted(wanted.loosened - reported) if wanted else ():
        reported.add(keyword)
        logger.warning("json_schema_loosened", extra={"fields": {"keyword": keyword}})
    return wanted


def _load_job(common: Common, model: EngineModel, *, chat: bool) -> _Job:
    return _Job(model, StreamOptions(common.model, chat=chat), common.keep_alive_seconds)


def _hold(exchange: Exchange, body: JsonObject, common: Common) -> None:
    _log_unknown_options(exchange, common.options)
    exchange.replace_body(body)


def _stream_options(
    common: Common, *, chat: bool, context_of: Callable[[str], JsonObject] | None = None
) -> StreamOptions:
    return StreamOptions(
        model=common.model,
        chat=chat,
        stops=stop_strings(common.options),
        top_logprobs=common.top_logprobs,
        context_of=context_of,
    )


def _context_of(request: GenerateRequest) -> Callable[[str], JsonObject] | None:
    """Return how to pack a reply into the field ``context``, None if the conversation is too long.

    What it returns is held while the engine generates.
    """
    turns = [*decode_turns(request.context), ("user", request.prompt)]
    if not fits(turns):
        return None

    def context(reply: str) -> JsonObject:
        numbers = encode_turns([*turns, ("assistant", reply)])
        return {"context": numbers} if numbers else {}

    return context


async def _answer(exchange: Exchange, job: _Job) -> HTTPResponse | None:
    if not job.path:
        return await _load_or_unload(exchange, job)
    services = exchange.services
    loaded = services.catalogue.loaded(job.model, keep_alive_seconds=job.keep_alive_seconds)
    async with services.admission.slot(), loaded as load_ns:
        if load_ns:
            job = replace(job, options=replace(job.options, load_ns=load_ns))
        return await call_engine(
            exchange,
            Call(job.path, streamed=job.streamed),
            partial(_respond, exchange, job),
            partial(from_reply, model=job.options.model),
            just_loaded=load_ns > 0,
        )


async def _load_or_unload(exchange: Exchange, job: _Job) -> HTTPResponse:
    """Answer a request without a prompt, which clients send to load and unload models."""
    unload = job.keep_alive_seconds == 0
    if unload:
        await exchange.services.catalogue.unload(job.model)
    else:
        await exchange.services.catalogue.load(job.model, keep_alive_seconds=job.keep_alive_seconds)
    reason = "unload" if unload else "load"
    exchange.record.completed(None, reason, waited=0.0)
    response: JsonObject = {"model": job.options.model, "created_at": exchange.moment().created_at}
    message: JsonObject = {"message": {"role": "assistant", "content": ""}}
    response |= message if job.options.chat else {"response": ""}
    return exchange.json(response | {"done": True, "done_reason": reason})


async def _respond(exchange: Exchange, job: _Job, reply: EngineReply) -> HTTPResponse | None:
    if job.streamed:
        await _stream(exchange, reply, OllamaStream(job.options))
        return None
    if reply.content_type.lower().startswith(EVENT_STREAM):
        return await _collected(exchange, reply, job.options)
    return await _whole(exchange, reply, job)


def _log_unknown_options(exchange: Exchange, options: JsonObject) -> None:
    """Log each unknown option once, and at most `_MAX_LOGGED_OPTIONS` of them."""
    reported = exchange.services.reported_options
    for option in unknown_options(options):
        name = option[:_LOGGED_CHARACTERS]
        if name not in reported and len(reported) < _MAX_LOGGED_OPTIONS:
            reported.add(name)
            logger.warning("unknown_option_ignored", extra={"fields": {"option": name}})


async def _stream(exchange: Exchange, reply: EngineReply, stream: OllamaStream) -> None:
    """Translate the engine's stream as it arrives, with one write for each read."""
    try:
        async for data in reply.iter_bytes():
            batch = stream.feed(data, exchange.moment())
            reply.keep(stream.held)
            await _write(exchange, reply, stream, batch)
            if stream.done:
                reply.discard_rest()
                return
        await _write(exchange, reply, stream, stream.close(exchange.moment()))
    except ProxyError as error:
        if not exchange.streaming:
            raise
        await exchange.fail(within_stream(error), content_type=NDJSON)


async def _write(
    exchange: Exchange, reply: EngineReply, stream: OllamaStream, batch: Batch
) -> None:
    waited = reply.waited
    await exchange.write(batch, content_type=NDJSON, waited=waited, end=stream.done)
    if stream.done:
        exchange.record.completed(stream.usage, stream.finish_reason, waited=waited)
    _raise_error(batch)


async def _collected(
    exchange: Exchange, reply: EngineReply, options: StreamOptions
) -> HTTPResponse:
    """Collect the engine's stream into a whole response."""
    whole = WholeResponse(model=options.model, chat=options.chat)
    stream = OllamaStream(options, whole)
    async for data in reply.iter_bytes():
        _raise_error(stream.feed(data, exchange.moment()))
        if whole.size > MAX_REPLY_BYTES:
            raise EngineProtocolError(f"the engine's reply is above {MAX_REPLY_BYTES} bytes")
        reply.keep(whole.size + stream.held)
        if stream.done:
            reply.discard_rest()
            break
    else:
        _raise_error(stream.close(exchange.moment()))
    exchange.record.completed(stream.usage, stream.finish_reason, waited=reply.waited)
    return exchange.json(whole.response)


def _raise_error(batch: Batch) -> None:
    if batch.error is not None:
        raise batch.error


async def _whole(exchange: Exchange, reply: EngineReply, job: _Job) -> HTTPResponse | None:
    options, body, at = job.options, await reply.body(), exchange.moment()
    translate = to_ollama_chat if options.chat else to_ollama_generate
    try:
        completion = read_completion(body, model=options.model)
        response = translate(
            completion,
            model=options.model,
            at=at,
            load_ns=options.load_ns,
            top_logprobs=options.top_logprobs,
        )
        if options.context_of is not None:
            response |= options.context_of(cast("str", response["response"]))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EngineProtocolError("the engine's reply has an unknown format") from error
    finish_reason = only_choice(completion).get("finish_reason")
    exchange.record.completed(completion.get("usage"), finish_reason, waited=reply.waited)
    if not job.as_lines:
        return exchange.json(response)
    exchange.record.at_once = True
    await exchange.write(_two_lines(response), content_type=NDJSON, end=True)
    return None


def _two_lines(response: JsonObject) -> Batch:
    """Write a whole raw response as the stream that the client asked for."""
    text = {key: response[key] for key in ("model", "created_at", "response")}
    final = response | {"response": ""}
    if not response["response"]:
        return Batch(to_line(final))
    return Batch(to_line(text | {"done": False}) + to_line(final), chunks=1)
