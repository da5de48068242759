"""``/api/embed`` and the older ``/api/embeddings``."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import msgspec

from proxy_service.engines.client import MAX_EMBEDDINGS_BYTES, EngineReply
from proxy_service.errors import InvalidRequest, ModelNotFound, ProxyError
from proxy_service.exchange import Exchange
from proxy_service.routes.engine_call import Call, call_engine
from proxy_service.server.connection import HTTPResponse
from proxy_service.translate.embeddings import (
    read_inputs,
    read_reply,
    read_vector,
    shorten,
    to_engine_embeddings,
    with_vectors,
)
from proxy_service.translate.engine_errors import from_reply
from proxy_service.translate.models.model import EngineModel
from proxy_service.wire import JsonObject
from proxy_service.wire.engine_paths import EMBEDDINGS
from proxy_service.wire.ollama import parse_keep_alive
from proxy_service.wire.reading import Fields
from proxy_service.wire.writing import to_json

_NOT_FOUND = 'model "{}" not found, try pulling it first'
# Vectors that are read and written before other requests run: a few milliseconds.
_VECTORS_AT_ONCE = 16


class _Job(NamedTuple):
    """One call of the engine, whose body the exchange holds; none if there are no inputs."""

    name: str
    model: EngineModel
    keep_alive_seconds: float | None
    inputs: int
    dimensions: int = 0


async def embed(exchange: Exchange) -> HTTPResponse:
    """Answer ``POST /api/embed``: vectors of length 1, in the order of the inputs."""
    job = await exchange.translated(_translate_embed, not_found=_NOT_FOUND)
    return await _answer(exchange, job, {"model": job.name, "embeddings": []}, _respond)


async def embeddings(exchange: Exchange) -> HTTPResponse:
    """Answer ``POST /api/embeddings``: the vector of one prompt, as the engine returns it."""
    job = await exchange.translated(_translate_embeddings, not_found=_NOT_FOUND)
    return await _answer(exchange, job, {"embedding": []}, _respond_with_one)


def _translate_embed(exchange: Exchange) -> _Job:
    fields = Fields.parse(exchange.body, "EmbedRequest")
    name = fields.text("model")
    keep_alive = parse_keep_alive(fields.raw("keep_alive"))
    inputs = read_inputs(fields.raw("input"))
    dimensions = fields.integer("dimensions")
    truncate = fields.flag("truncate", default=True)
    if not name:
        raise ModelNotFound("model '' not found")
    model = exchange.listed(name)
    body = to_engine_embeddings(inputs, engine_id=model.id, truncate=truncate)
    exchange.replace_body(body)
    return _Job(name, model, keep_alive, len(inputs), dimensions)


def _translate_embeddings(exchange: Exchange) -> _Job:
    fields = Fields.parse(exchange.body, "EmbeddingRequest")
    keep_alive = parse_keep_alive(fields.raw("keep_alive"))
    prompt = fields.text("prompt")
    name = fields.text("model")
    if not name:
        raise InvalidRequest("model is required")
    model = exchange.listed(name)
    exchange.replace_body(to_engine_embeddings([prompt], engine_id=model.id, truncate=True))
    return _Job(name, model, keep_alive, 1 if prompt else 0)


async def _answer(
    exchange: Exchange,
    job: _Job,
    nothing: JsonObject,
    respond: Callable[[Exchange, _Job, int, EngineReply], Awaitable[HTTPResponse]],
) -> HTTPResponse:
    """Call the engine if there are inputs, else respond with ``nothing``."""
    services = exchange.services
    loaded = services.catalogue.loaded(job.model, keep_alive_seconds=job.keep_alive_seconds)
    async with services.admission.slot(), loaded as load_ns:
        if not job.inputs:
            return exchange.json(nothing)
        return await call_engine(
            exchange,
            Call(EMBEDDINGS),
            partial(respond, exchange, job, load_ns),
            partial(_refusal, job.name),
            just_loaded=load_ns > 0,
        )


async def _respond(exchange: Exchange, job: _Job, load_ns: int, reply: EngineReply) -> HTTPResponse:
    items, usage = read_reply(await reply.body(MAX_EMBEDDINGS_BYTES), expected=job.inputs)
    vectors = await _shortened(items, job.dimensions, reply)
    del items  # and with them the reply
    timing: JsonObject = {
        "total_duration": exchange.moment().elapsed_ns,
        "load_duration": load_ns,
        "prompt_eval_count": usage.get("prompt_tokens", 0),
    }
    return exchange.response(with_vectors(job.name, vectors, timing))


async def _respond_with_one(
    exchange: Exchange, job: _Job, load_ns: int, reply: EngineReply
) -> HTTPResponse:
    del job, load_ns
    (item,), _ = read_reply(await reply.body(), expected=1)
    return exchange.json({"embedding": read_vector(item)[1]})


async def _shortened(items: list[msgspec.Raw], dimensions: int, reply: EngineReply) -> list[bytes]:
    """Return the vectors as JSON in the order of their inputs; let other requests run meanwhile."""
    vectors: list[tuple[int, bytes]] = []
    size = sum(map(len, items))
    for number, item in enumerate(items, start=1):
        index, vector = read_vector(item)
        vectors.append((index, to_json(shorten(vector, dimensions))))
        size += len(vectors[-1][1])
        if not number % _VECTORS_AT_ONCE:
            reply.keep(size)
            await asyncio.sleep(0)
    vectors.sort(key=itemgetter(0))
    return [vector for _, vector in vectors]


def _refusal(name: str, status: int, body: bytes) -> ProxyError:
    error = from_reply(status, body, model=name)
    if "Prompt sequence length is greater" in error.message:
        return InvalidRequest("the input length exceeds the context length")
    return error
