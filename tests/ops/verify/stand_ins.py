"""Stand-ins for the proxy and Prometheus with correct numbers, and faults to make them wrong."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from alerts.rules import alerts
from monitoring.thresholds import Thresholds
from ops.clients.exposition import Exposition
from ops.running.targets import Targets
from proxy_service.server.access import Keys
from tests.ops.local_http import Request, Response, serving

MODEL = "tiny"
METRICS_PATHS = {"/metrics", "/api/metrics"}
BUCKETS = (0.1, 5, 10, 30, 60, 600)


@dataclass
class StandIn:
    """The services of a stack with one model.

    Attributes:
        faults: Names of its faults.
        key: API key that the proxy requires; empty for none.
        metrics_key: Key that its metrics accept beside ``key``; empty for none.
        prometheus_authorization: Header that Prometheus requires; empty for none.
        scrape_interval: Of the proxy's target, in Prometheus' notation.
    """

    faults: set[str] = field(default_factory=set)
    key: str = ""
    metrics_key: str = ""
    prometheus_authorization: str = ""
    scrape_interval: str = "15s"

    def __post_init__(self) -> None:
        self.keys = Keys(
            api=[self.key] if self.key else [],
            metrics=[self.metrics_key] if self.metrics_key else [],
            open_paths={"/", "/livez", "/readyz"},
            metrics_paths=METRICS_PATHS,
        )
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "mistral_http_requests", "-", ["endpoint", "status"], registry=registry
        )
        self.durations = Histogram(
            "mistral_http_request_duration_seconds",
            "-",
            ["endpoint"],
            buckets=BUCKETS if "few buckets" not in self.faults else (0.1, 5),
            registry=registry,
        )
        self.active = Gauge("mistral_active_requests", "-", registry=registry)
        self.generations = Histogram(
            "mistral_generate_duration_seconds", "-", ["model"], buckets=BUCKETS, registry=registry
        )
        self.tokens = Counter("mistral_generate_tokens", "-", ["model"], registry=registry)
        self.chunks = Counter("mistral_streaming_chunks", "-", ["endpoint"], registry=registry)
        if "lost metric" not in self.faults:
            Histogram("mistral_model_load_duration_seconds", "-", ["model"], registry=registry)
        self.generations.labels(MODEL)
        for endpoint in ("chat", "generate"):
            self.durations.labels(endpoint)

    def proxy(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not self.keys.allows(request.path, headers):
            return _json({"error": "unauthorized"}, 401)
        if request.method == "POST":
            return self._counted(request)
        if request.path in METRICS_PATHS:
            content_type = CONTENT_TYPE_LATEST
            if "bare content type" in self.faults:
                content_type = "text/plain"
            body = generate_latest(self.registry)
            return Response(body=body, headers={"Content-Type": content_type})
        if request.path == "/api/tags":
            return _json({"models": [{"name": MODEL}]})
        if request.path == "/readyz" and "engine down" in self.faults:
            return Response(503)
        return Response(body=b"Ollama is running" if request.path == "/" else b"")

    def _counted(self, request: Request) -> Response:
        endpoint = request.path.removeprefix("/api/")
        self.active.inc()
        body = json.loads(request.body())
        answer, status = self._generate(endpoint, body)
        self.requests.labels(endpoint, status).inc(2 if "double count" in self.faults else 1)
        self.durations.labels(endpoint).observe(0.01)
        if "leaking gauge" not in self.faults:
            self.active.dec()
        return answer

    def _generate(self, endpoint: str, body: dict[str, Any]) -> tuple[Response, str]:
        if "engine down" in self.faults:
            return _json({"error": "engine is down"}, 503), "error"
        if body["model"] != MODEL:
            return _json({"error": "model not found"}, 404), "client_error"
        self.generations.labels(MODEL).observe(0.01)
        self.tokens.labels(MODEL).inc(0 if "lost tokens" in self.faults else 3)
        final = {"model": MODEL, "done": True, "eval_count": 3}
        if not body["stream"]:
            return _json(final), "success"
        self.chunks.labels(endpoint).inc(2)
        parts = [{"message": {"content": word}, "done": False} for word in ("Hel", "lo", "")]
        lines = "\n".join(json.dumps(part) for part in [*parts, final])
        return Response(body=lines.encode()), "success"

    def prometheus(self, request: Request) -> Response:
        url = urlsplit(request.path)
        if request.headers.get("Authorization", "") != self.prometheus_authorization:
            return Response(401, b"Unauthorized\n")
        if url.path == "/-/ready":
            return Response()
        if url.path == "/api/v1/query":
            return _data({"result": self._query(parse_qs(url.query)["query"][0])})
        return _data(
            {
                "/api/v1/status/buildinfo": {"version": "3.0.0"},
                "/api/v1/targets": {"activeTargets": self._targets()},
                "/api/v1/rules": {"groups": [{"rules": self._rules()}]},
                "/api/v1/alerts": {"alerts": []},
            }[url.path]
        )

    def _targets(self) -> list[dict[str, Any]]:
        if "not scraped" in self.faults:
            return []
        target = {
            "labels": {"job": "mistral"},
            "scrapeUrl": "http://proxy/metrics",
            "health": "down" if "down" in self.faults else "up",
            "lastError": "",
            "lastScrape": datetime.now(UTC).isoformat(),
            "scrapeInterval": self.scrape_interval,
        }
        return [target]

    def _rules(self) -> list[dict[str, Any]]:
        rules = [{"name": alert.name, "health": "ok"} for alert in alerts(Thresholds())]
        rules[-1]["health"] = "unknown"  # as just after a start
        if "broken rule" in self.faults:
            rules[0] |= {"health": "err", "lastError": "many-to-many matching"}
        return rules[1:] if "lost rule" in self.faults else rules

    def _query(self, query: str) -> list[dict[str, Any]]:
        if query == 'min(up{job="mistral"})':
            return [{"value": [0, "1"]}]
        name, _, selector = query.removeprefix("sum(").removesuffix(")}").partition("{")
        pairs = (part.split("=") for part in selector.removesuffix("})").split(","))
        labels = {label: json.loads(value) for label, value in pairs if label != "job"}
        total = Exposition.parse(generate_latest(self.registry).decode()).total(name, labels)
        return [{"value": [0, str(0 if "stale prometheus" in self.faults else total)]}]


@contextmanager
def running_standin(*faults: str, **others: str) -> Iterator[Targets]:
    """Run the services while the block runs; yield their URLs."""
    services = StandIn(set(faults), **others)
    with serving(services.proxy) as proxy, serving(services.prometheus) as prometheus:
        yield Targets("a stand-in", proxy, prometheus=prometheus)


def _json(body: object, status: int = 200) -> Response:
    return Response(status, json.dumps(body).encode())


def _data(data: object) -> Response:
    return _json({"status": "success", "data": data})
