"""Routes for health checks and monitoring, which don't count as traffic."""

from proxy_service.exchange import TEXT, Exchange
from proxy_service.server.connection import HTTPResponse

METRICS_PATHS = ("/metrics", "/api/metrics")
# The paths of health checks, which send no key.
OPEN_PATHS = ("/", "/livez", "/readyz")
_PATHS = ("/livez", "/readyz", "/health", *METRICS_PATHS)
# Also with a slash at the end. There is no /health, but requests for it are health checks, not
# traffic.
PROBE_PATHS = frozenset({"/", *_PATHS, *(f"{path}/" for path in _PATHS)})


async def root(exchange: Exchange) -> HTTPResponse:
    """Answer ``/`` as Ollama does, so that clients see that it is running."""
    return exchange.response(b"Ollama is running", content_type=TEXT)


async def livez(exchange: Exchange) -> HTTPResponse:
    """Answer ``/livez``: the process is running."""
    return exchange.response(b"ok\n", content_type=TEXT)


async def readyz(exchange: Exchange) -> HTTPResponse:
    """Answer ``/readyz`` with the result of the engine's last probe, without a new one."""
    catalogue = exchange.services.catalogue
    if catalogue.ready:
        return exchange.response(b"ok\n", content_type=TEXT)
    return exchange.response(f"{catalogue.failure}\n".encode(), status=503, content_type=TEXT)


async def metrics(exchange: Exchange) -> HTTPResponse:
    """Answer ``/metrics`` in the format that the Accept header names."""
    accept = exchange.request.headers.get("accept", "")
    body, content_type = await exchange.services.scrapes.expose(accept)
    return exchange.response(body, content_type=content_type)
