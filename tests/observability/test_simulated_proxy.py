"""The simulated proxy has the real one's series, and counts when that one does."""

from __future__ import annotations

import math
import re

from prometheus_client.parser import text_string_to_metric_families

from monitoring.names import JOB, TARGET_LABELS
from proxy_service.telemetry.metrics import ProxyMetrics
from tests.observability.promtool import INSTANCE, metric
from tests.observability.simulated_proxy import Clients, SimulatedProxy


def named(series: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return a series' name and the labels that a scrape doesn't add."""
    labels = dict(re.findall(r'(\w+)="([^"]*)"', series))
    own = labels.items() - {"job": JOB, "instance": INSTANCE, **TARGET_LABELS}.items()
    return series.partition("{")[0], frozenset(own)


def values(series: dict[str, str], name: str, **labels: str) -> list[str]:
    return series[metric(name, **labels)].split()


def test_every_simulated_series_is_one_of_the_real_proxy() -> None:
    real = ProxyMetrics()
    real.model("small")
    exposed, _ = real.expose("")
    known = {
        (sample.name, frozenset(sample.labels.items()))
        for family in text_string_to_metric_families(exposed.decode())
        for sample in family.samples
    }
    proxy = SimulatedProxy(
        clients=[Clients(wait=1, tokens=10), Clients(wait=1, endpoint="embed")],
        engine_down=[(30, 60)],
    )

    played = proxy.series(seconds=120, interval=15)

    own = {named(series) for series in played} - {("up", frozenset())}
    assert own - known == set()
    assert len(own) > 100


def test_a_stream_counts_its_wait_at_its_first_content_and_its_tokens_as_they_come() -> None:
    one_stream = Clients(start=5, stop=6, wait=7, tokens=41, tokens_per_second=1)
    played = SimulatedProxy(clients=[one_stream]).series(seconds=60, interval=15)

    chat, small = {"endpoint": "chat"}, {"model": "small"}
    waits = values(played, "mistral_request_wait_seconds_bucket", **chat, le="7.5")
    assert waits == ["0", "1", "1", "1", "1"]
    assert values(played, "mistral_decode_tokens_total", **small) == ["0", "3", "18", "33", "40"]
    assert values(played, "mistral_decode_seconds_total", **small) == ["0", "3", "18", "33", "40"]
    finished = values(played, "mistral_http_requests_total", **chat, status="success")
    assert finished == ["0", "0", "0", "0", "1"]
    took = values(played, "mistral_generate_duration_seconds_bucket", **small, le="60.0")
    assert took == ["0", "0", "0", "0", "1"]
    assert values(played, "mistral_active_requests") == ["0", "1", "1", "1", "0"]


def test_a_whole_reply_counts_everything_at_its_end() -> None:
    one_reply = Clients(start=0, stop=1, wait=7, tokens=21, tokens_per_second=1, streamed=False)
    played = SimulatedProxy(clients=[one_reply]).series(seconds=45, interval=15)

    assert values(played, "mistral_decode_tokens_total", model="small") == ["0", "0", "20", "20"]
    waits = values(played, "mistral_request_wait_seconds_bucket", endpoint="chat", le="7.5")
    assert waits == ["0", "0", "1", "1"]
    assert metric("mistral_time_to_first_token_seconds_count", model="small") not in played


def test_a_restart_counts_from_zero_and_loses_what_was_active() -> None:
    clients = Clients(start=0, wait=0.5, tokens=15, tokens_per_second=1, pause=0.5)
    proxy = SimulatedProxy(clients=[clients], runs=((-60, 40), (55, math.inf)))
    played = proxy.series(seconds=90, interval=15)

    assert values(played, "up") == ["1", "1", "1", "0", "1", "1", "1"]
    finished = values(played, "mistral_http_requests_total", endpoint="chat", status="success")
    assert finished == ["0", "1", "2", "stale", "0", "1", "2"]
    assert values(played, "mistral_active_requests")[4] == "1"
