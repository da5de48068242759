"""Puts the parts of a proxy together, and starts and stops them."""

import asyncio
from typing import Any, cast

from sanic import Config

from proxy_service.clock import NS_PER_SECOND, Clock
from proxy_service.engines.admission import Admission
from proxy_service.engines.catalogue import Catalogue
from proxy_service.engines.client import Engine
from proxy_service.engines.endpoints import MissingEndpoints
from proxy_service.errors import ShuttingDown
from proxy_service.memory import memory_trimmer
from proxy_service.pipeline import ProxyApp, endpoint_handler
from proxy_service.routes.probes import METRICS_PATHS, OPEN_PATHS
from proxy_service.routes.table import ROUTES, Route
from proxy_service.server.access import AllowedHosts, AllowedOrigins, Keys, WrongKeys
from proxy_service.server.budgets import BodyBudget, HeadBudget, response_room
from proxy_service.server.large_bodies import LargeBodies
from proxy_service.server.open_connections import OpenConnections
from proxy_service.server.turns import Turns
from proxy_service.services import Services
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.lag import LagMeter
from proxy_service.telemetry.metrics import ProxyMetrics
from proxy_service.telemetry.scrapes import Scrapes

# Seconds after the shutdown's grace period for sending the last errors.
_ERROR_SECONDS = 1.0
# How many bodies of the largest size all requests together may hold. docs/robustness.md adds up
# what else takes memory.
_BODIES = 3


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
        scrapes=Scrapes(metrics),
        clock=clock,
        catalogue=Catalogue(settings, engine=engine, metrics=metrics, clock=clock),
        missing_endpoints=MissingEndpoints(clock),
        lag=LagMeter(metrics.event_loop_lag, clock),
        memory=memory_trimmer(),
        admission=Admission(settings, metrics=metrics, clock=clock),
        origins=AllowedOrigins(settings.origins),
        hosts=AllowedHosts(settings.bind, settings.hosts),
        keys=Keys(
            api=settings.api_keys,
            metrics=settings.metrics_keys,
            open_paths=OPEN_PATHS,
            metrics_paths=METRICS_PATHS,
        ),
        wrong_keys=WrongKeys(clock),
        body_budget=BodyBudget(_BODIES * settings.max_body_bytes, clock),
        head_budget=HeadBudget(),
        response_room=response_room(clock),
        open_connections=OpenConnections(settings.max_connections),
        turns=Turns(OPEN_PATHS),
        large_bodies=LargeBodies(),
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
    handler = cast("Any", endpoint_handler(route))
    app.add_route(handler, route.path, methods=route.methods, name=name)


async def _start(app: ProxyApp) -> None:
    services = app.ctx
    services.metrics.started(services.clock.time_ns() / NS_PER_SECOND)
    services.catalogue.start()
    services.lag.start()
    services.memory.start()


async def _begin_stop(app: ProxyApp) -> None:
    """Refuse queued requests, and end those that still run after the grace period."""
    services = app.ctx
    services.stopping.set()
    services.admission.close()
    grace_seconds = services.settings.shutdown_grace_seconds
    asyncio.get_running_loop().call_later(grace_seconds, services.engine.interrupt, ShuttingDown())


async def _stop(app: ProxyApp) -> None:
    app.ctx.lag.stop()
    app.ctx.memory.stop()
    app.ctx.large_bodies.stop()
    await app.ctx.catalogue.stop()
    await app.ctx.engine.stop()
