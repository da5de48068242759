"""Which series there are: from the start, and whatever clients and engines send."""

import pytest

from proxy_service.telemetry.metrics import ENDPOINTS, HTTP_BUCKETS, STATUSES
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import MODEL, ScriptedEngine
from tests.proxy.telemetry.counting import GENERATED, HELLO, REQUESTS, WHOLE, outcomes

REQUIRED = {
    "mistral_http_requests": "counter",
    "mistral_http_request_duration_seconds": "histogram",
    "mistral_active_requests": "gauge",
    "mistral_generate_duration_seconds": "histogram",
    "mistral_generate_tokens": "counter",
    "mistral_streaming_chunks": "counter",
    "mistral_model_load_duration_seconds": "histogram",
}


def test_all_families_exist_at_zero_before_any_traffic(proxy: RunningProxy) -> None:
    """The first scrape has every series that an alert needs."""
    scrape = proxy.scrape()

    kinds = {family.name: family.type for family in scrape.families}
    assert {name: kinds.get(name) for name in REQUIRED} == REQUIRED
    for endpoint in ENDPOINTS:
        for status in STATUSES:
            key = (REQUESTS, frozenset({("endpoint", endpoint), ("status", status)}))
            assert scrape.samples[key] == 0
    assert scrape.value("mistral_active_requests") == 0


def test_invented_model_names_create_no_series(proxy: RunningProxy) -> None:
    """A thousand names create no series."""
    proxy.http.post("/api/chat", json=HELLO)
    before = proxy.idle().series()

    for i in range(1000):
        body = HELLO | {"model": f"invented-{i}"}
        assert proxy.http.post("/api/chat", json=body).status_code == 404

    assert proxy.idle().series() - before == set()


def test_all_names_of_a_model_are_one_label(proxy: RunningProxy) -> None:
    for name in (MODEL, f"{MODEL}:latest", MODEL.upper()):
        proxy.http.post("/api/chat", json=WHOLE | {"model": name})

    assert proxy.idle().value(GENERATED, model=MODEL) == 3


def test_unknown_paths_and_methods_are_one_label(proxy: RunningProxy) -> None:
    proxy.probe()
    before = proxy.scrape().series()
    for i in range(1000):
        proxy.http.get(f"/random/{i}")
    for method in ("DELETE", "PATCH", "PROPFIND"):
        assert proxy.http.request(method, "/api/chat").status_code == 405
    after = proxy.idle()

    assert after.series() - before == set()
    assert outcomes(after, "unmatched") == {"client_error": 1003}


@pytest.mark.parametrize("name", ['a"b', "a\nb", "\N{GRINNING FACE}", "x" * 10_000])
def test_odd_model_names_leave_the_exposition_readable(
    engine: ScriptedEngine, proxy: RunningProxy, name: str
) -> None:
    """Whatever the client or the engine calls a model."""
    proxy.http.post("/api/chat", json=HELLO | {"model": name})
    engine.status_of[name] = "loaded"
    proxy.probe()
    proxy.http.post("/api/chat", json=HELLO | {"model": name})

    assert "mistral_http_requests" in {family.name for family in proxy.idle().families}


def test_the_series_budget_holds_with_ten_models(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Fewer than 3,000 series, so that a scrape stays small."""
    engine.status_of |= {f"model-{i}": "loaded" for i in range(8)}
    proxy.probe()
    for name in engine.status_of:
        proxy.http.post("/api/chat", json=HELLO | {"model": name})

    assert len(proxy.idle().samples) < 3000


def test_openmetrics_is_served_on_request(proxy: RunningProxy) -> None:
    """Both content types have a version."""
    text = proxy.http.get("/metrics")
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    openmetrics = proxy.http.get("/api/metrics", headers=wanted)

    assert text.headers["content-type"].startswith("text/plain; version=")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=")
    assert openmetrics.text.endswith("# EOF\n")
    assert "_created" not in text.text


def test_every_alert_threshold_is_a_bucket_edge_with_room_above() -> None:
    """If the buckets ended at 10 s, an alert with a higher limit could never fire."""
    for threshold in (5, 10, 30):
        assert threshold in HTTP_BUCKETS
        assert sum(edge > threshold for edge in HTTP_BUCKETS) >= 3
