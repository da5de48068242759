"""``/api/embed`` and the older ``/api/embeddings``."""

import asyncio
from functools import partial
from http import HTTPStatus
from operator import itemgetter

import msgspec

from proxy_service.errors import (
    InvalidRequest,
    ModelNotFound,
    ProxyError,
)
from proxy_service.exchange import Exchange
from proxy_service.routes.engine_call import Call, call_engine
from proxy_service.server.connection import HTTPResponse
from proxy_service.translate.embeddings import (
    read_inputs,
    read_reply,
    read_vector,
    shorten,
    to_engine_embeddings,
)
from proxy_service.translate.engine_errors import from_reply
from proxy_service.translate.models.model import EngineModel
from proxy_service.wire.engine_paths import EMBEDDINGS
from proxy_service.wire.ollama import parse_keep_alive
from proxy_service.wire.reading import Fields
from proxy_service.wire.writing import to_json

# Vectors that are read and written before other requests run: a few milliseconds.
_VECTORS_AT_ONCE = 16


async def embed(exchange: Exchange) -> HTTPResponse:
    """Answer ``POST /api/embed``: vectors of length 1, in the order of the inputs."""
    fields = Fields.parse(exchange.body, "EmbedRequest")
    name = fields.text("model")
    keep_alive = parse_keep_alive(fields.raw("keep_alive"))
    inputs = read_inputs(fields.raw("input"))
    dimensions = fields.integer("dimensions")
    truncate = fields.flag("truncate", default=True)
    model = await _find(exchange, name, "model '' not found", HTTPStatus.NOT_FOUND)
    services = exchange.services
    loaded = services.catalogue.loaded(model, keep_alive_seconds=keep_alive)
    async with services.admission.slot(), loaded as load_ns:
        if not inputs:
            return exchange.json({"model": name, "embeddings": []})
        body = to_json(to_engine_embeddings(inputs, engine_id=model.id, truncate=truncate))
        reply = await _call(exchange, body, name, just_loaded=load_ns > 0)
    items, usage = read_reply(reply, expected=len(inputs))
    return exchange.json(
        {
            "model": name,
            "embeddings": await _shortened(items, dimensions),
            "total_duration": exchange.moment().elapsed_ns,
            "load_duration": load_ns,
            "prompt_eval_count": usage.get("prompt_tokens", 0),
        }
    )


async def embeddings(exchange: Exchange) -> HTTPResponse:
    """Answer ``POST /api/embeddings``: the vector of one prompt, as the engine returns it."""
    fields = Fields.parse(exchange.body, "EmbeddingRequest")
    keep_alive = parse_keep_alive(fields.raw("keep_alive"))
    prompt = fields.text("prompt")
    name = fields.text("model")
    model = await _find(exchange, name, "model is required", HTTPStatus.BAD_REQUEST)
    services = exchange.services
    loaded = services.catalogue.loaded(model, keep_alive_seconds=keep_alive)
    async with services.admission.slot(), loaded as load_ns:
        if not prompt:
            return exchange.json({"embedding": []})
        body = to_json(to_engine_embeddings([prompt], engine_id=model.id, truncate=True))
        reply = await _call(exchange, body, name, just_loaded=load_ns > 0)
    (item,), _ = read_reply(reply, expected=1)
    return exchange.json({"embedding": read_vector(item)[1]})


async def _find(
    exchange: Exchange, name: str, missing: str, missing_status: HTTPStatus
) -> EngineModel:
    if not name:
        if missing_status is HTTPStatus.NOT_FOUND:
            raise ModelNotFound(missing)
        raise InvalidRequest(missing)
    try:
        return await exchange.find(name)
    except ModelNotFound:
        raise ModelNotFound(f'model "{name}" not found, try pulling it first') from None


async def _call(exchange: Exchange, body: bytes, name: str, *, just_loaded: bool) -> bytes:
    return await call_engine(
        exchange,
        Call(EMBEDDINGS, body),
        lambda reply: reply.body(),
        partial(_refusal, name),
        just_loaded=just_loaded,
    )


async def _shortened(items: list[msgspec.Raw], dimensions: int) -> list[msgspec.Raw]:
    """Return the vectors as JSON in the order of their inputs; let other requests run meanwhile."""
    vectors: list[tuple[int, msgspec.Raw]] = []
    for number, item in enumerate(items, start=1):
        index, vector = read_vector(item)
        vectors.append((index, msgspec.Raw(to_json(shorten(vector, dimensions)))))
        if not number % _VECTORS_AT_ONCE:
            await asyncio.sleep(0)
    vectors.sort(key=itemgetter(0))
    return [vector for _, vector in vectors]


def _refusal(name: str, status: int, body: bytes) -> ProxyError:
    error = from_reply(status, body, model=name)
    if "Prompt sequence length is greater" in error.message:
        return InvalidRequest("the input length exceeds the context length")
    return error
