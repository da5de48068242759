"""Every URL of a stack, derived from its settings by pure functions."""

from urllib.parse import urlsplit

from infra import topology
from infra.settings.schema import Settings
from infra.settings.types import EngineMode, ServiceMode
from proxy_service.settings.values import BindAddress


def engine_url(settings: Settings) -> str:
    """Return the engine's base URL, as the proxy reaches it."""
    external = settings.engine is EngineMode.EXTERNAL
    return settings.mistral_url.rstrip("/") if external else topology.ENGINE.url


def engine_metrics_target(settings: Settings) -> str | None:
    """Return ``host:port`` of the engine's own metrics, or None if it can't be scraped.

    A URL with a path leads to a reverse proxy, and its metrics may be anywhere.
    """
    parts = urlsplit(engine_url(settings))
    if parts.scheme != "http" or parts.path:
        return None
    return str(BindAddress(parts.hostname or "", parts.port or 80))


def proxy_url(settings: Settings) -> str:
    """Return the URL of the Ollama API for clients."""
    return f"http://{BindAddress(settings.host, settings.proxy_port)}"


def prometheus_url(settings: Settings) -> str:
    """Return the URL of Prometheus for browsers."""
    if settings.prometheus is ServiceMode.EXTERNAL:
        return settings.prometheus_url.rstrip("/")
    return f"http://{BindAddress(settings.prometheus_host, settings.prometheus_port)}"


def grafana_url(settings: Settings) -> str:
    """Return the URL of Grafana for browsers and for provisioning."""
    if settings.grafana is ServiceMode.EXTERNAL:
        return settings.grafana_url.rstrip("/")
    on_default_address = not settings.advertised_host and settings.bind_address == "127.0.0.1"
    # Grafana may accept a single name, which should be the one that people type.
    host = "localhost" if on_default_address else settings.host
    return f"http://{BindAddress(host, settings.grafana_port)}"


def datasource_url(settings: Settings) -> str:
    """Return the URL at which Grafana queries Prometheus."""
    if settings.datasource_url:
        return settings.datasource_url
    both_managed = ServiceMode.EXTERNAL not in (settings.grafana, settings.prometheus)
    return topology.PROMETHEUS.url if both_managed else prometheus_url(settings)
