"""``/api/tags``, ps, show, version and pull, and the endpoints that a proxy can't serve."""

import json
from functools import partial
from http import HTTPStatus

from proxy_service.errors import InvalidRequest, ModelNotFound, NotImplementedHere
from proxy_service.exchange import NDJSON, Exchange
from proxy_service.server.connection import HTTPResponse
from proxy_service.settings.stack_names import named
from proxy_service.streaming.engine_stream import Batch
from proxy_service.streaming.lines import to_line
from proxy_service.translate.models.digests import digest
from proxy_service.translate.models.model import LOADED, EngineModel
from proxy_service.translate.models.names import is_valid_name, with_tag
from proxy_service.translate.models.rendering import to_process, to_show, to_tag
from proxy_service.wire.reading import Fields


async def tags(exchange: Exchange) -> HTTPResponse:
    """Answer ``GET /api/tags``."""
    catalogue = exchange.services.catalogue
    models = await catalogue.models()
    return exchange.json({"models": [to_tag(m) for m in models]})


async def ps(exchange: Exchange) -> HTTPResponse:
    """Answer ``GET /api/ps``."""
    catalogue = exchange.services.catalogue
    loaded = [model for model in await catalogue.models() if model.status == LOADED]
    now_ns = exchange.services.clock.time_ns()
    processes = [
        to_process(m, now_ns=now_ns, expires_in_seconds=catalogue.expires_in_seconds(m))
        for m in loaded
    ]
    return exchange.json({"models": processes})


async def show(exchange: Exchange) -> HTTPResponse:
    """Answer ``POST /api/show``."""
    catalogue = exchange.services.catalogue
    fields = await exchange.work(partial(Fields.parse, exchange.body, "ShowRequest"))
    name = _name(fields, "model is required")
    system, options = fields.text("system"), fields.object("options")
    fields.text("template")  # deprecated and ignored in Ollama, too
    fields.flag("verbose", default=False)  # the engine reports no vocabularies and no tensors
    try:
        model = await catalogue.find(name)
    except ModelNotFound:
        raise ModelNotFound(f"model '{with_tag(name)}' not found") from None
    return exchange.json(to_show(model, system=system, options=options))


async def version(exchange: Exchange) -> HTTPResponse:
    """Answer ``GET /api/version``."""
    return exchange.json({"version": exchange.services.settings.ollama_version})


async def pull(exchange: Exchange) -> HTTPResponse | None:
    """Answer ``POST /api/pull``: load a model that the engine lists, and refuse any other."""
    name, stream = await exchange.work(partial(_pull_fields, exchange))
    exchange.record.asked_for_stream = stream
    catalogue = exchange.services.catalogue
    try:
        model = await catalogue.find(name)
    except ModelNotFound:
        error = ModelNotFound(
            f"pull model manifest: the engine doesn't serve '{name}'; start the engine with it"
        )
        if not stream:
            error.status = HTTPStatus.INTERNAL_SERVER_ERROR
            raise error from None
        await exchange.fail(error, content_type=NDJSON)
        return None
    await catalogue.load(model)
    if not stream:
        return exchange.json({"status": "success"})
    await exchange.write(Batch(_progress(model, model.details.size)), content_type=NDJSON, end=True)
    return None


def _pull_fields(exchange: Exchange) -> tuple[str, bool]:
    """Return the model's name, and whether to stream; only these are held while the model loads."""
    fields = Fields.parse(exchange.body, "PullRequest")
    return _name(fields, "invalid model name"), fields.flag("stream", default=True)


def _progress(model: EngineModel, size: int) -> bytes:
    """Return the lines of a pull that has nothing to download; ``size`` is in bytes."""
    whole = digest(model.id)
    return b"".join(
        (
            to_line({"status": "pulling manifest"}),
            to_line(
                {
                    "status": f"pulling {whole[:12]}",
                    "digest": f"sha256:{whole}",
                    "total": size,
                    "completed": size,
                }
            ),
            to_line({"status": "verifying sha256 digest"}),
            to_line({"status": "writing manifest"}),
            to_line({"status": "success"}),
        )
    )


async def push(exchange: Exchange) -> HTTPResponse:
    """Refuse ``POST /api/push``."""
    await exchange.work(partial(_sent_name, exchange, "PushRequest", "model is required"))
    raise _not_implemented("push models")


async def create(exchange: Exchange) -> HTTPResponse:
    """Refuse ``POST /api/create``."""
    await exchange.work(partial(_sent_name, exchange, "CreateRequest", "invalid model name"))
    raise _not_implemented("create models")


async def copy(exchange: Exchange) -> HTTPResponse:
    """Refuse ``POST /api/copy``; an alias in the settings serves the same purpose."""
    source = await exchange.work(partial(_copy_source, exchange))
    try:
        await exchange.services.catalogue.find(source)
    except ModelNotFound:
        raise ModelNotFound(f'model "{source}" not found') from None
    raise NotImplementedHere(
        f"this server can't copy models; {named('MODEL_ALIASES')} gives a model another name"
    )


def _copy_source(exchange: Exchange) -> str:
    fields = Fields.parse(exchange.body, "CopyRequest")
    source = _valid(fields.text("source"), "source")
    _valid(fields.text("destination"), "destination")
    return source


async def delete(exchange: Exchange) -> HTTPResponse:
    """Refuse ``DELETE /api/delete``."""
    name = await exchange.work(partial(_sent_name, exchange, "DeleteRequest", "model is required"))
    await exchange.services.catalogue.find(_valid(name, "name"))
    raise _not_implemented("delete models")


async def has_blob(exchange: Exchange, digest: str) -> HTTPResponse:  # noqa: ARG001  the path's
    """Answer ``HEAD /api/blobs/:digest``: there are no blobs."""
    return exchange.response(b"", status=HTTPStatus.NOT_FOUND)


async def create_blob(exchange: Exchange, digest: str) -> HTTPResponse:  # noqa: ARG001  the path's
    """Refuse ``POST /api/blobs/:digest``."""
    del exchange
    raise _not_implemented("accept blobs")


async def status(exchange: Exchange) -> HTTPResponse:
    """Answer ``GET /api/status``: there is no cloud behind this server."""
    return exchange.json({"cloud": {"disabled": True, "source": "none"}})


async def recommendations(exchange: Exchange) -> HTTPResponse:
    """Answer ``GET /api/experimental/model-recommendations``: there are none."""
    return exchange.json({"recommendations": []})


async def account(exchange: Exchange) -> HTTPResponse:
    """Refuse ``POST /api/me``: there are no accounts."""
    return exchange.json({"error": "unauthorized"}, status=HTTPStatus.UNAUTHORIZED)


async def signout(exchange: Exchange, key: str = "") -> HTTPResponse:  # noqa: ARG001  the path's
    """Refuse ``POST /api/signout``, and the older ``DELETE /api/user/keys/:key``."""
    return exchange.json(
        {"error": "you are not currently signed in"}, status=HTTPStatus.UNAUTHORIZED
    )


async def web(exchange: Exchange) -> HTTPResponse:
    """Refuse web search and fetch, which are services of Ollama's cloud."""
    del exchange
    raise NotImplementedHere("this server can't search or fetch the web")


def _sent_name(exchange: Exchange, struct: str, complaint: str) -> str:
    return _name(Fields.parse(exchange.body, struct), complaint)


def _name(fields: Fields, complaint: str) -> str:
    """Return ``model``, or ``name`` as older clients call it."""
    model, name = fields.text("model"), fields.text("name")
    if not (model or name):
        raise InvalidRequest(complaint)
    return model or name


def _valid(name: str, role: str) -> str:
    """Return ``name``, or raise Ollama's error, which mentions its ``role``, if it is invalid."""
    if not is_valid_name(name):
        raise InvalidRequest(f"{role} {json.dumps(name, ensure_ascii=False)} is invalid")
    return name


def _not_implemented(what: str) -> NotImplementedHere:
    return NotImplementedHere(
        f"this server can't {what}: it serves what the Mistral.rs engine was started with"
    )
