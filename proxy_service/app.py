"""Puts the parts together, and holds every check that a request has to pass, in order.

Each proxy is one Sanic application. `ProxyApp.answer` gets each request when its head is complete.
"""

import asyncio
import logging
from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, cast

from sanic import Config, Sanic
from sanic.exceptions import MethodNotAllowed, NotFound

from proxy_service.clock import NS_PER_SECOND, Clock
from proxy_service.engines.admission import Admission
from proxy_service.engines.catalogue import Catalogue
from proxy_service.engines.client import Engine
from proxy_service.errors import ProxyError, ShuttingDown, Unauthorized
from proxy_service.exchange import TEXT, Exchange, Services
from proxy_service.routes.probes import METRICS_PATHS, OPEN_PATHS, PROBE_PATHS
from proxy_service.routes.table import ROUTES, Handler, Route
from proxy_service.server.access import AllowedHosts, AllowedOrigins, Keys
from proxy_service.server.connection import ClientStream, HTTPResponse
from proxy_service.server.request import BodyBudget, IncomingRequest
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.lag import LagMeter
from proxy_service.telemetry.metrics import Endpoint, ProxyMetrics

# Seconds after the shutdown's grace, in which the last errors can still be sent.
_ERROR_SECONDS = 1.0
# Methods whose bodies aren't waited for, because no endpoint reads them.
_WITHOUT_BODY = ("GET", "HEAD")
# How many bodies of the largest size all requests together may hold. Each takes several times its
# size in memory until it is sent to the engine: three of 48 MiB at once took 800 MiB.
_BODIES = 3

logger = logging.getLogger("proxy_service.app")

SanicHandler = Callable[..., Coroutine[object, object, HTTPResponse | None]]


class ProxyApp(Sanic[Config, Services]):
    """A Sanic application that records each request from its head to its last byte."""

    async def answer(self, request: IncomingRequest, stream: ClientStream) -> None:
        """Answer one request; every request passes through here once."""
        exchange = Exchange(request, stream, self.ctx)
        if request.path in PROBE_PATHS or request.method == "OPTIONS":
            await self._answer(exchange, stream)
            _log_wrong_key(exchange)
            return
        exchange.record.open()
        try:
            await self._answer(exchange, stream)
        except CancelledError:
            exchange.record.interrupted()
            raise
        finally:
            exchange.record.finish(self.ctx.clock.monotonic())

    async def _answer(self, exchange: Exchange, stream: ClientStream) -> None:
        response = _early_response(exchange, stream) or await self._route(exchange)
        if response is not None:
            await exchange.send(response)
        exchange.close_if_stopping()  # the stop may have begun after the response's head was sent

    async def _route(self, exchange: Exchange) -> HTTPResponse | None:
        """Call the endpoint, and turn what it raises into a response."""
        request = exchange.request
        try:
            _, handler, parameters = self.router.get(request.path, request.method, None)
            return await cast("SanicHandler", handler)(exchange, **parameters)
        except NotFound:
            return _plain(exchange, b"404 page not found", HTTPStatus.NOT_FOUND)
        except MethodNotAllowed:
            return _plain(exchange, b"405 method not allowed", HTTPStatus.METHOD_NOT_ALLOWED)
        except ProxyError as error:
            return exchange.refuse(error)
        except Exception as error:  # noqa: BLE001  the last resort: it is logged
            return await exchange.crashed(error)


def create_app(
    settings: ProxySettings, *, engine: Engine, metrics: ProxyMetrics, clock: Clock
) -> ProxyApp:
    """Return a proxy that is ready to be served.

    Args:
        settings: Checked settings.
        engine: The client for the engine; stopped with the app.
        metrics: The metrics, which no other proxy may share.
        clock: The time.
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
        hosts=AllowedHosts(settings.bind, settings.hosts),
        keys=Keys(
            api=settings.api_keys,
            metrics=settings.metrics_keys,
            open_paths=OPEN_PATHS,
            metrics_paths=METRICS_PATHS,
        ),
        body_budget=BodyBudget(_BODIES * settings.max_body_bytes),
    )
    app = ProxyApp(
        "proxy_service",
        ctx=services,
        config=_config(settings),
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
            "GRACEFUL_SHUTDOWN_TIMEOUT": settings.shutdown_grace_seconds + _ERROR_SECONDS,
            "REQUEST_TIMEOUT": settings.client_request_timeout_seconds,
            # `ClientConnection` applies it while the client doesn't read its response.
            "RESPONSE_TIMEOUT": settings.client_stall_timeout_seconds,
            "KEEP_ALIVE_TIMEOUT": settings.client_keep_alive_seconds,
        },
        env_prefix=None,
    )


def _add(app: ProxyApp, route: Route) -> None:
    name = f"{route.methods[0]}_{route.path}".translate(str.maketrans("/<>:", "____"))
    # The router only stores and returns the handler; `ProxyApp` calls it.
    handler = cast("Any", _endpoint(route.handler, route.endpoint))
    app.add_route(handler, route.path, methods=route.methods, name=name)


def _endpoint(handler: Handler, endpoint: Endpoint) -> SanicHandler:
    """Wrap a handler: record the endpoint, and wait for the request's body."""

    async def handle(exchange: Exchange, **parameters: str) -> HTTPResponse | None:
        exchange.record.endpoint = endpoint  # first, for bodies that are too large or incomplete
        if exchange.request.method not in _WITHOUT_BODY:
            await exchange.receive()
        return await handler(exchange, **parameters)

    return handle


def _early_response(exchange: Exchange, stream: ClientStream) -> HTTPResponse | None:
    """Return the response to what reaches no route: bad HTTP or Host, foreign pages, no key."""
    if stream.unroutable is not None:
        return exchange.refuse(stream.unroutable)
    services, request = exchange.services, exchange.request
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    foreign = origin is not None and not services.origins.allows(origin, host=host)
    if foreign or not services.hosts.allows(host):
        return exchange.response(b"", status=HTTPStatus.FORBIDDEN, content_type=TEXT)
    exchange.page = origin
    if origin is not None and request.method == "OPTIONS":
        preflight = services.origins.preflight_headers(origin)
        return HTTPResponse(HTTPStatus.NO_CONTENT, list(preflight.items()))
    if not services.keys.allows(request.path, request.headers):
        return exchange.refuse(
            Unauthorized("unauthorized: send the API key in the header Authorization: Bearer KEY")
        )
    return None


def _log_wrong_key(exchange: Exchange) -> None:
    """Log a refusal that no metric counts, so that brute-force attempts show in the log."""
    record, request = exchange.record, exchange.request
    if isinstance(record.error, Unauthorized):
        path = request.path if request.path in PROBE_PATHS else None
        fields = {"request_id": record.request_id, "method": request.method, "path": path}
        logger.warning("unauthorized", extra={"fields": fields})


def _plain(exchange: Exchange, text: bytes, status: HTTPStatus) -> HTTPResponse:
    return exchange.response(text, status=status, content_type=TEXT)


async def _start(app: ProxyApp) -> None:
    services = app.ctx
    services.metrics.started(services.clock.time_ns() / NS_PER_SECOND)
    services.catalogue.start()
    services.lag.start()


async def _begin_stop(app: ProxyApp) -> None:
    """Refuse what waits, and end what still runs when the grace is over."""
    services = app.ctx
    services.stopping.set()
    services.admission.close()
    grace_seconds = services.settings.shutdown_grace_seconds
    asyncio.get_running_loop().call_later(grace_seconds, services.engine.interrupt, ShuttingDown())


async def _stop(app: ProxyApp) -> None:
    app.ctx.lag.stop()
    await app.ctx.catalogue.stop()
    await app.ctx.engine.stop()
