"""Routes for people and machines that look after the proxy; none of them is traffic."""

from proxy_service.exchange import TEXT, Exchange
from proxy_service.server.connection import HTTPResponse

METRICS_PATHS = ("/metrics", "/api/metrics")
# What health checks ask, which carry no key.
OPEN_PATHS = ("/", "/livez", "/readyz")
_PATHS = ("/livez", "/readyz", "/health", *METRICS_PATHS)
# With a slash at the end, too. /health is none of ours, but what probes it is no traffic either.
HOUSEKEEPING_PATHS = frozenset({"/", *_PATHS, *(f"{path}/" for path in _PATHS)})


async def root(exchange: Exchange) -> HTTPResponse:
    """Answer ``/`` as Ollama does, by which clients see that it runs."""
    return exchange.response(b"Ollama is running", content_type=TEXT)


async def livez(exchange: Exchange) -> HTTPResponse:
    """Say that the process serves."""
    return exchange.response(b"ok\n", content_type=TEXT)


async def readyz(exchange: Exchange) -> HTTPResponse:
    """Say whether the engine answered the last probe; asks nobody."""
    catalogue = exchange.services.catalogue
    if catalogue.ready:
        return exchange.response(b"ok\n", content_type=TEXT)
    return exchange.response(f"{catalogue.failure}\n".encode(), status=503, content_type=TEXT)


async def metrics(exchange: Exchange) -> HTTPResponse:
    """Expose the metrics in the format that the Accept header asks for."""
    accept = exchange.request.headers.get("accept", "")
    body, content_type = exchange.services.metrics.expose(accept)
    return exchange.response(body, content_type=content_type)
