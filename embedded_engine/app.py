"""The HTTP server: the routes and errors of the Mistral.rs server, over one engine."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import msgspec
from sanic import Request, Sanic, response
from sanic.exceptions import MethodNotAllowed, NotFound, PayloadTooLarge, SanicException
from sanic.response import BaseHTTPResponse, HTTPResponse

from embedded_engine.engine import Engine, Generation
from embedded_engine.errors import RefusedRequestError, RequestError, UnreadableRequestError
from embedded_engine.hosts import is_local
from embedded_engine.metrics import expose
from embedded_engine.settings import HEALTH_PATH, METRICS_PATH
from embedded_engine.wire import bodies, limits, requests, responses

logger = logging.getLogger(__name__)

# The real server's limit, and its pause between comments in a silent stream.
_BODY_LIMIT_BYTES = 50 * 1024 * 1024
_KEEP_ALIVE_SECONDS = 10.0
# Sanic would end a reply after 60 s of silence.
_RESPONSE_TIMEOUT_SECONDS = 24 * 3600
# SIGTERM stops running replies; this is the time for their connections to close.
_SHUTDOWN_SECONDS = 1.0


_READ = ("GET", "HEAD")
_ToChunk = Callable[..., bodies.JsonObject]
_ToBody = Callable[[Sequence[responses.Transcript]], bodies.JsonObject]


def create_app(engine: Engine, *, only_local_names: bool) -> Sanic[Any, Any]:
    """Build the server for a loaded engine.

    Args:
        engine: The engine.
        only_local_names: Whether requests for other host names are refused.
    """
    app: Sanic[Any, Any] = Sanic("embedded_engine", configure_logging=False)
    app.config.update(
        {
            "ACCESS_LOG": False,
            "GRACEFUL_SHUTDOWN_TIMEOUT": _SHUTDOWN_SECONDS,
            "REQUEST_MAX_SIZE": _BODY_LIMIT_BYTES,
            "RESPONSE_TIMEOUT": _RESPONSE_TIMEOUT_SECONDS,
        }
    )
    _add_housekeeping(app, engine)
    _add_generation(app, engine)
    _add_errors(app)
    if only_local_names:
        app.register_middleware(_refuse_other_names, "request")
    return app


def _add_housekeeping(app: Sanic[Any, Any], engine: Engine) -> None:
    models = responses.models_body(
        engine.model.model_id,
        created=int(time.time()),
        context_length=engine.context_length,
        size_bytes=engine.model.size_bytes,
        details=engine.model.details,
        parameters=engine.model.sampling,
        info=engine.model.info,
        template=engine.model.template,
    )

    async def health(_: Request) -> HTTPResponse:
        return response.text("OK")

    async def list_models(_: Request) -> HTTPResponse:
        return _json(models)

    async def metrics(request: Request) -> HTTPResponse:
        body, content_type = expose(request.headers.get("accept", ""))
        return HTTPResponse(body, content_type=content_type)

    async def name_request(request: Request, reply: BaseHTTPResponse) -> None:
        reply.headers["x-request-id"] = str(request.id)

    app.add_route(health, "/", methods=_READ, name="root")
    app.add_route(health, HEALTH_PATH, methods=_READ)
    app.add_route(metrics, METRICS_PATH, methods=_READ)
    app.add_route(list_models, "/v1/models", methods=_READ)
    app.register_middleware(name_request, "response")

    async def stop_engine(_: Sanic[Any, Any]) -> None:
        engine.stop()

    app.register_listener(stop_engine, "before_server_stop")


def _add_generation(app: Sanic[Any, Any], engine: Engine) -> None:
    model = engine.model

    def start(arguments: requests.Arguments, choices: int) -> Generation:
        return engine.start(limits.within_limits(arguments, engine.context_length), choices)

    async def chat(request: Request) -> HTTPResponse | None:
        wanted = bodies.read_chat(_json_body(request))
        _check_model(wanted.model, model.model_id)
        arguments = requests.chat_arguments(wanted, model.sampling)
        generation = start(arguments, wanted.choices)
        one_call = wanted.parallel_tool_calls is False
        if wanted.stream:
            to_chunk = partial(responses.chat_chunk, model_id=model.model_id, one_call=one_call)
            await _stream(request, generation, _with_usage(to_chunk, wanted))
            return None
        to_body = partial(responses.chat_body, model_id=model.model_id, one_call=one_call)
        return await _collect(generation, wanted.choices, to_body)

    async def complete(request: Request) -> HTTPResponse | None:
        wanted = bodies.read_completion(_json_body(request))
        _check_model(wanted.model, model.model_id)
        arguments = requests.completion_arguments(wanted, model.sampling)
        generation = start(arguments, wanted.choices)
        echo = wanted.prompt if wanted.echo else ""
        if wanted.stream:
            to_chunk = partial(responses.completion_chunk, model_id=model.model_id)
            await _stream(request, generation, _with_usage(to_chunk, wanted))
            return None
        to_body = partial(responses.completion_body, model_id=model.model_id, echo=echo)
        return await _collect(generation, wanted.choices, to_body)

    async def embed(_: Request) -> HTTPResponse:
        # The real server's text for a chat model.
        raise RefusedRequestError("Received a request incompatible for this model's category.")

    app.add_route(embed, "/v1/embeddings", methods=["POST"])
    app.add_route(chat, "/v1/chat/completions", methods=["POST"])
    app.add_route(complete, "/v1/completions", methods=["POST"])


async def _refuse_other_names(request: Request) -> HTTPResponse | None:
    host = request.headers.get("host", "")
    if is_local(host):
        return None
    return response.text(
        f"This server listens on loopback and refuses the host name {host!r}: use localhost",
        status=403,
    )


def _with_usage(to_chunk: _ToChunk, wanted: bodies.SamplingRequest) -> _ToChunk:
    """Return ``to_chunk``, or what moves the usage to a last chunk if the client asks for that."""
    return responses.UsageLast(to_chunk) if wanted.wants_usage_chunk else to_chunk


async def _stream(request: Request, generation: Generation, to_chunk: _ToChunk) -> None:
    """Send chunks as they arrive; cancel the generation when the client disconnects."""
    try:
        # Until then the status can still be that of an error. A request that is held back longer
        # needs comments.
        await generation.accepted(_KEEP_ALIVE_SECONDS)
        reply = await request.respond(
            content_type="text/event-stream", headers={"cache-control": "no-cache"}
        )
        async for event in stream_events(generation, to_chunk):
            await reply.send(event)
        await reply.eof()
    finally:
        generation.cancel()


async def stream_events(
    generation: Generation, to_chunk: _ToChunk, keep_alive_seconds: float = _KEEP_ALIVE_SECONDS
) -> AsyncIterator[bytes]:
    """Yield the server-sent events of a reply, and a comment after each long silence."""
    try:
        while True:
            try:
                async with asyncio.timeout(keep_alive_seconds):
                    item = await generation.next()
            except TimeoutError:
                yield responses.KEEP_ALIVE
                continue
            if item is None:
                break
            index, chunk = item
            yield responses.event(to_chunk(chunk, index=index))
        if isinstance(to_chunk, responses.UsageLast):
            yield responses.event(to_chunk.last())
    except RequestError as error:
        yield responses.error_event(error)
    yield responses.DONE


async def _collect(generation: Generation, choices: int, to_body: _ToBody) -> HTTPResponse:
    """Return the whole reply in one piece."""
    transcripts = [responses.Transcript() for _ in range(choices)]
    try:
        while (item := await generation.next()) is not None:
            index, chunk = item
            transcripts[index].add(chunk)
    finally:
        generation.cancel()
    return _json(to_body(transcripts))


def _json_body(request: Request) -> bytes:
    kind = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UnreadableRequestError(
            "Expected request with `Content-Type: application/json`", status=415
        )
    return bytes(request.body)


def _check_model(name: str, model_id: str) -> None:
    if name not in (bodies.DEFAULT_MODEL_NAME, model_id):
        raise RefusedRequestError(responses.unknown_model_message(name, model_id))


def _add_errors(app: Sanic[Any, Any]) -> None:
    async def unreadable(_: Request, error: UnreadableRequestError) -> HTTPResponse:
        return response.text(str(error), status=error.status)

    async def refused(_: Request, error: RequestError) -> HTTPResponse:
        return _json(responses.error_body(error), error.status)

    async def too_large(_: Request, __: PayloadTooLarge) -> HTTPResponse:
        return response.text("request body too large", status=413)

    async def no_such_route(_: Request, error: NotFound | MethodNotAllowed) -> HTTPResponse:
        return response.text("", status=error.status_code, headers=error.headers)

    async def failed(_: Request, error: Exception) -> HTTPResponse:
        if isinstance(error, SanicException):
            return response.text(str(error), status=error.status_code)
        logger.error("a request failed", exc_info=error)
        return _json({"message": f"{type(error).__name__}: {error}"}, 500)

    app.exception(Exception)(failed)
    app.exception(UnreadableRequestError)(unreadable)
    app.exception(RequestError)(refused)
    app.exception(PayloadTooLarge)(too_large)
    app.exception(NotFound, MethodNotAllowed)(no_such_route)


def _json(value: bodies.JsonObject, status: int = 200) -> HTTPResponse:
    return HTTPResponse(msgspec.json.encode(value), status=status, content_type="application/json")
