"""Every URL of a stack, worked out from its settings: pure, and in one place."""

from urllib.parse import urlsplit

from infra import topology
from infra.settings.schema import Settings
from infra.settings.values import EngineMode, ServiceMode


def engine_url(chosen: Settings) -> str:
    """Base URL of the engine, as the proxy reaches it."""
    external = chosen.engine is EngineMode.EXTERNAL
    return chosen.mistral_url.rstrip("/") if external else topology.ENGINE.url


def engine_metrics_target(chosen: Settings) -> str | None:
    """``host:port`` of the engine's own metrics: the Mistral.rs server has them, ours does not."""
    parts = urlsplit(engine_url(chosen))
    if chosen.engine is EngineMode.EMBEDDED or parts.scheme != "http":
        return None
    return f"{parts.hostname}:{parts.port or 80}"


def proxy_url(chosen: Settings) -> str:
    """URL of the Ollama API for clients."""
    return _published(chosen, chosen.proxy_port)


def prometheus_url(chosen: Settings) -> str:
    """URL of Prometheus for browsers."""
    if chosen.prometheus is ServiceMode.EXTERNAL:
        return chosen.prometheus_url.rstrip("/")
    return _published(chosen, chosen.prometheus_port)


def grafana_url(chosen: Settings) -> str:
    """URL of Grafana for browsers and for provisioning it."""
    if chosen.grafana is ServiceMode.EXTERNAL:
        return chosen.grafana_url.rstrip("/")
    return _published(chosen, chosen.grafana_port)


def datasource_url(chosen: Settings) -> str:
    """URL under which Grafana queries Prometheus."""
    if chosen.datasource_url:
        return chosen.datasource_url
    both_ours = ServiceMode.EXTERNAL not in (chosen.grafana, chosen.prometheus)
    return topology.PROMETHEUS.url if both_ours else prometheus_url(chosen)


def _published(chosen: Settings, port: int) -> str:
    return f"http://{chosen.host}:{port}"
