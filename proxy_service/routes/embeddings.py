"""``/api/embed`` and the older ``/api/embeddings``."""

import json
from functools import partial
from http import HTTPStatus

from proxy_service.errors import (
    EngineProtocolError,
    InvalidRequest,
    ModelNotFound,
    ProxyError,
)
from proxy_service.exchange import Exchange
from proxy_service.routes.engine_call import Call, call_engine
from proxy_service.server.connection import HTTPResponse
from proxy_service.translate.embeddings import (
    read_inputs,
    shorten,
    to_engine_embeddings,
    vectors_of,
)
from proxy_service.translate.engine_errors import from_reply
from proxy_service.translate.models.model import EngineModel
from proxy_service.translate.replies import to_usage
from proxy_service.wire.engine import Usage
from proxy_service.wire.engine_paths import EMBEDDINGS
from proxy_service.wire.ollama import parse_keep_alive
from proxy_service.wire.reading import Fields
from proxy_service.wire.writing import to_json

# The exceptions that reading a body of an unknown shape can raise.
_UNREADABLE = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)


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
    vectors, usage = _read(reply, expected=len(inputs))
    return exchange.json(
        {
            "model": name,
            "embeddings": [shorten(vector, dimensions) for vector in vectors],
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
    vectors, _ = _read(reply, expected=1)
    return exchange.json({"embedding": vectors[0]})


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


def _read(body: bytes, *, expected: int) -> tuple[list[list[float]], Usage]:
    try:
        reply = json.loads(body)
        return vectors_of(reply, expected=expected), to_usage(reply.get("usage"))
    except _UNREADABLE as error:
        raise EngineProtocolError("the engine's embeddings have an unknown format") from error


def _refusal(name: str, status: int, body: bytes) -> ProxyError:
    error = from_reply(status, body, model=name)
    if "Prompt sequence length is greater" in error.message:
        return InvalidRequest("the input length exceeds the context length")
    return error
