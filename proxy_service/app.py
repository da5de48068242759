"""Puts the parts together: one Sanic application per proxy, wiring only."""

import asyncio
import logging
from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from sanic import Config, HTTPResponse, Request, Sanic
from sanic.exceptions import MethodNotAllowed, NotFound, PayloadTooLarge, SanicException
from sanic.handlers import ErrorHandler

from proxy_service.access import AllowedHosts, AllowedOrigins
from proxy_service.admission import Admission
from proxy_service.catalogue import Catalogue
from proxy_service.clock import NS_PER_SECOND, Clock
from proxy_service.engine import Engine
from proxy_service.errors import BodyTooLarge, InternalError, InvalidRequest, ProxyError
from proxy_service.exchange import TEXT, Exchange, Services
from proxy_service.lag import LagMeter
from proxy_service.metrics import ProxyMetrics
from proxy_service.routes.housekeeping import HOUSEKEEPING_PATHS
from proxy_service.routes.table import ROUTES, Handler, Route
from proxy_service.settings import ProxySettings

if TYPE_CHECKING:
    from sanic.http import Http

# Seconds on top of the engine's silence after which a request that sends and receives nothing
# is ended by the server: only a client that stopped reading or sending gets that far.
_CLIENT_GRACE_SECONDS = 60.0
# Bytes; above this much unread input the server stops reading from a connection.
_REQUEST_BUFFER = 64 * 1024

SanicHandler = Callable[..., Coroutine[object, object, HTTPResponse | None]]

logger = logging.getLogger("proxy_service.app")


class ProxyApp(Sanic[Config, Services]):
    """A Sanic application that accounts for each request from its head to its last byte."""

    async def handle_request(self, request: Request) -> None:
        """Handle one request; everything that can happen to it passes through here once."""
        exchange = Exchange(request, self.ctx)
        request.ctx.exchange = exchange
        if request.path in HOUSEKEEPING_PATHS or request.method == "OPTIONS":
            await self._answer(exchange)
            return
        exchange.record.open()
        try:
            await self._answer(exchange)
        except CancelledError:
            transport = request.transport
            exchange.record.interrupted(gone=transport is None or transport.is_closing())
            raise
        finally:
            exchange.record.finish(self.ctx.clock.monotonic())

    async def _answer(self, exchange: Exchange) -> None:
        early = _early_answer(exchange)
        if early is None:
            await super().handle_request(exchange.request)
        else:
            response = await exchange.request.respond(early)
            await response.send(end_stream=True)
        if self.ctx.stopping.is_set():
            # Else an idle connection would use up the whole grace of the shutdown.
            cast("Http", exchange.request.stream).keep_alive = False


class _Errors(ErrorHandler):
    """Answers what the framework itself raises, the way Ollama's server does."""

    def response(self, request: Request, exception: Exception) -> HTTPResponse:
        if isinstance(exception, NotFound):
            return _answer(request, b"404 page not found", HTTPStatus.NOT_FOUND)
        if isinstance(exception, MethodNotAllowed):
            return _answer(request, b"405 method not allowed", HTTPStatus.METHOD_NOT_ALLOWED)
        return _exchange(request).refuse(_translate(exception))


def create_app(
    settings: ProxySettings, *, engine: Engine, metrics: ProxyMetrics, clock: Clock
) -> ProxyApp:
    """Build a proxy that is ready to be served.

    Args:
        settings: Checked settings.
        engine: The way to the engine; started and stopped with the app.
        metrics: A catalogue on a registry of its own.
        clock: Time.
    """
    services = Services(
        settings=settings,
        engine=engine,
        metrics=metrics,
        clock=clock,
        catalogue=Catalogue(settings, engine=engine, metrics=metrics, clock=clock),
        lag=LagMeter(metrics.event_loop_lag, clock),
        admission=Admission(settings, metrics=metrics, clock=clock),
        origins=AllowedOrigins(settings.origins),
        hosts=AllowedHosts(settings.bind),
    )
    app = ProxyApp(
        "proxy_service",
        ctx=services,
        config=_config(settings),
        error_handler=_Errors(),
        configure_logging=False,
    )
    for route in ROUTES:
        _add(app, route)
    app.before_server_start(_start)
    app.before_server_stop(_begin_stop)
    app.after_server_stop(_stop)
    return app


def _config(settings: ProxySettings) -> Config:
    return Config(
        {
            "ACCESS_LOG": False,
            "MOTD": False,
            "REQUEST_MAX_SIZE": settings.max_body_bytes,
            "REQUEST_BUFFER_SIZE": _REQUEST_BUFFER,
            "GRACEFUL_SHUTDOWN_TIMEOUT": settings.shutdown_grace_seconds,
            "RESPONSE_TIMEOUT": settings.engine_silence_timeout_seconds + _CLIENT_GRACE_SECONDS,
        },
        env_prefix=None,
    )


def _add(app: ProxyApp, route: Route) -> None:
    name = f"{route.methods[0]}_{route.path}".translate(str.maketrans("/<>:", "____"))
    handler = _endpoint(route.handler, route.endpoint)
    app.add_route(handler, route.path, methods=route.methods, name=name)


def _endpoint(handler: Handler, endpoint: str) -> SanicHandler:
    """Wrap a handler: name the endpoint, and turn what it raises into an answer."""

    async def handle(request: Request, **parameters: str) -> HTTPResponse | None:
        exchange = _exchange(request)
        exchange.record.endpoint = endpoint
        if len(request.body) >= _REQUEST_BUFFER:
            # The server stopped reading when the buffer was full, and would not see the
            # client hang up while the engine works.
            cast("asyncio.ReadTransport", request.transport).resume_reading()
        try:
            return await handler(exchange, **parameters)
        except ProxyError as error:
            return exchange.refuse(error)
        except Exception as error:  # noqa: BLE001  the last resort: logged, and answered as ours
            return await exchange.crashed(error)

    return handle


def _early_answer(exchange: Exchange) -> HTTPResponse | None:
    """Answer what never reaches a route: foreign hosts, foreign pages, preflights."""
    services, headers = exchange.services, exchange.request.headers
    if not services.hosts.allows(headers.get("host", "")):
        return exchange.reply(b"", status=HTTPStatus.FORBIDDEN, content_type=TEXT)
    origin = headers.get("origin")
    if origin is None:
        return None
    if not services.origins.allows(origin, host=headers.get("host", "")):
        return exchange.reply(b"", status=HTTPStatus.FORBIDDEN, content_type=TEXT)
    if exchange.request.method == "OPTIONS":
        preflight = services.origins.preflight_headers(origin)
        return HTTPResponse(status=HTTPStatus.NO_CONTENT, headers=preflight)
    return None


def _exchange(request: Request) -> Exchange:
    """Give the request's exchange, making one for a request that was too broken to be routed."""
    if not hasattr(request.ctx, "exchange"):
        request.ctx.exchange = Exchange(request, cast("ProxyApp", request.app).ctx)
    return cast("Exchange", request.ctx.exchange)


def _answer(request: Request, text: bytes, status: HTTPStatus) -> HTTPResponse:
    return _exchange(request).reply(text, status=status, content_type=TEXT)


def _translate(exception: Exception) -> ProxyError:
    if isinstance(exception, PayloadTooLarge):
        return BodyTooLarge("request body too large; MAX_BODY_MIB sets the limit")
    if isinstance(exception, SanicException):
        status = HTTPStatus(exception.status_code or HTTPStatus.INTERNAL_SERVER_ERROR)
        if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return InvalidRequest(str(exception), status=status)
    logger.error("internal_error", exc_info=exception)
    return InternalError("internal error; the proxy's log has the details")


async def _start(app: ProxyApp) -> None:
    services = app.ctx
    await services.engine.start()
    services.metrics.started(services.clock.time_ns() / NS_PER_SECOND)
    services.catalogue.start()
    services.lag.start()


async def _begin_stop(app: ProxyApp) -> None:
    app.ctx.stopping.set()


async def _stop(app: ProxyApp) -> None:
    app.ctx.lag.stop()
    await app.ctx.catalogue.stop()
    await app.ctx.engine.stop()
