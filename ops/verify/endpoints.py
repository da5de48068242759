"""Whether every service responds at its URL."""

import json
from collections.abc import Callable, Iterator

from infra.topology import ENGINE, GRAFANA, PROMETHEUS, PROXY
from ops.clients import web
from ops.report import Check, failed, judged, skipped
from ops.running.targets import Targets


def endpoint_checks(targets: Targets) -> Iterator[Check]:
    """Check the health endpoint of every service that there is."""
    yield _endpoint_check(
        "proxy responds", f"{targets.proxy}/", _is_ollama, "is the proxy running?"
    )
    yield _endpoint_check(
        "proxy is alive", f"{targets.proxy}{PROXY.health_path}", _is_ok, "read the proxy's log"
    )
    yield _endpoint_check(
        "proxy reaches the engine",
        f"{targets.proxy}{PROXY.ready_path}",
        _is_ok,
        "the engine is down or still loads its model; read its log",
    )
    if targets.engine:
        url = f"{targets.engine}{ENGINE.health_path}"
        yield _endpoint_check("engine is healthy", url, _is_ok, "read the engine's log")
    else:
        yield skipped("engine is healthy", "its port is not published; the proxy checks it")
    if prometheus := targets.prometheus_api:
        url = f"{prometheus.url}{PROMETHEUS.ready_path}"
        yield _endpoint_check(
            "Prometheus is ready",
            url,
            _is_ok,
            "read Prometheus' log",
            get=lambda _url: prometheus.get(PROMETHEUS.ready_path),
        )
    else:
        yield skipped("Prometheus is ready", "there is none")
    if targets.grafana:
        url = f"{targets.grafana}{GRAFANA.health_path}"
        yield _endpoint_check("Grafana is healthy", url, _database_is_ok, "read Grafana's log")
    else:
        yield skipped("Grafana is healthy", "there is none")


def _endpoint_check(
    name: str,
    url: str,
    good: Callable[[web.Response], bool],
    hint: str,
    *,
    get: Callable[[str], web.Response] = web.get,
) -> Check:
    try:
        response = get(url)
    except web.UnreachableError as error:
        return failed(name, str(error), hint)
    shown = " ".join(response.text.split())[:60]
    return judged(name, f"{url}: {response.status} {shown}".strip(), ok=good(response), hint=hint)


def _is_ok(response: web.Response) -> bool:
    return response.ok


def _is_ollama(response: web.Response) -> bool:
    return response.ok and response.text == "Ollama is running"


def _database_is_ok(response: web.Response) -> bool:
    try:
        return response.ok and response.json()["database"] == "ok"
    except (json.JSONDecodeError, KeyError, TypeError):
        return False
