"""The path of a request: every check that it has to pass, in order, and then its endpoint.

Each proxy is one Sanic application. `ProxyApp.answer` gets each request when its head is complete.
"""

import asyncio
import logging
from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from contextlib import suppress
from http import HTTPStatus
from typing import cast

from sanic import Config, Sanic
from sanic.exceptions import MethodNotAllowed, NotFound

from proxy_service.errors import ProxyError, TooManyWrongKeys, Unauthorized
from proxy_service.exchange import TEXT, Exchange
from proxy_service.routes.probes import PROBE_PATHS
from proxy_service.routes.table import Route
from proxy_service.server.access import key_in
from proxy_service.server.connection import ClientStream, HTTPResponse
from proxy_service.server.request import IncomingRequest
from proxy_service.services import Services

# Methods whose bodies aren't waited for, because no endpoint reads them.
_WITHOUT_BODY = ("GET", "HEAD")

logger = logging.getLogger("proxy_service.app")

EndpointHandler = Callable[..., Coroutine[object, object, HTTPResponse | None]]


class ProxyApp(Sanic[Config, Services]):
    """A Sanic application that records each request from its head to its last byte."""

    async def answer(self, request: IncomingRequest, stream: ClientStream) -> None:
        """Answer one request; every request passes through here once."""
        exchange = Exchange(request, stream, self.ctx)
        if request.path in PROBE_PATHS or request.method == "OPTIONS":
            try:
                await self._answer(exchange, stream)
            finally:  # the client may disconnect while its refusal waits
                _log_refused_key(exchange)
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
        response = _early_response(exchange, stream)
        if isinstance(exchange.record.error, Unauthorized):
            response = await self._slow_down(exchange, stream, response)
        elif response is None:
            response = await self._route(exchange)
        if response is not None:
            await exchange.send(response)
        exchange.close_if_stopping()  # the shutdown may have begun after the head was sent

    async def _slow_down(
        self, exchange: Exchange, stream: ClientStream, response: HTTPResponse | None
    ) -> HTTPResponse | None:
        """Delay the refusal of a wrong key if its address has sent many."""
        exchange.record.client_address = stream.client_address
        if not key_in(exchange.request.headers):
            return response
        wait_seconds = self.ctx.wrong_keys.wait_seconds(stream.client_address)
        if wait_seconds is None:
            return exchange.refuse(TooManyWrongKeys())
        with suppress(TimeoutError):  # a shutdown doesn't wait for it
            async with asyncio.timeout(wait_seconds):
                await self.ctx.stopping.wait()
        return response

    async def _route(self, exchange: Exchange) -> HTTPResponse | None:
        """Call the endpoint, and turn what it raises into a response."""
        path, method = exchange.request.path, exchange.request.method
        if path.endswith("//"):  # of which the router would remove one at a time, by recursion
            path = f"{path.rstrip('/')}/"
        try:
            _, handler, parameters = self.router.get(path, method, None)
            return await cast("EndpointHandler", handler)(exchange, **parameters)
        except NotFound:
            return _plain(exchange, b"404 page not found", HTTPStatus.NOT_FOUND)
        except MethodNotAllowed:
            return _plain(exchange, b"405 method not allowed", HTTPStatus.METHOD_NOT_ALLOWED)
        except ProxyError as error:
            return exchange.refuse(error)
        except Exception as error:  # noqa: BLE001  the last resort: it is logged
            return await exchange.crashed(error)


def endpoint_handler(route: Route) -> EndpointHandler:
    """Wrap a route's handler: record the endpoint, and wait for the request's body."""

    async def handle(exchange: Exchange, **parameters: str) -> HTTPResponse | None:
        # First, for bodies that are too large or incomplete.
        exchange.record.endpoint = route.endpoint
        if exchange.request.method not in _WITHOUT_BODY:
            await exchange.receive(route.codings)
        return await route.handler(exchange, **parameters)

    return handle


def _early_response(exchange: Exchange, stream: ClientStream) -> HTTPResponse | None:
    """Return the response to a request that no route gets: bad HTTP, Host, origin or key."""
    if stream.unroutable is not None:
        return exchange.refuse(stream.unroutable)
    services, request = exchange.services, exchange.request
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if origin is None:
        foreign = not services.origins.allows_site(request.headers)
    else:
        foreign = not services.origins.allows(origin, host=host)
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


def _log_refused_key(exchange: Exchange) -> None:
    """Log a refusal that no metric counts, so that brute-force attempts show in the log."""
    record, request = exchange.record, exchange.request
    if isinstance(record.error, Unauthorized):
        fields = {
            "request_id": record.request_id,
            "client_address": record.client_address,
            "method": request.method,
            "path": request.path if request.path in PROBE_PATHS else None,
        }
        logger.warning("unauthorized", extra={"fields": fields})


def _plain(exchange: Exchange, text: bytes, status: HTTPStatus) -> HTTPResponse:
    return exchange.response(text, status=status, content_type=TEXT)
