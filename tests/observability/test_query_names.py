"""Every metric and label that a query names exists in the proxy, and every query is valid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from alerts.recordings import recordings
from dashboards.queries import FILTERS
from monitoring.names import RECORDED_NAMES, TARGET_LABELS
from monitoring.thresholds import LARGEST_BUCKET_SECONDS, Thresholds
from proxy_service.telemetry import metrics as proxy
from tests.observability import queries

if TYPE_CHECKING:
    from pathlib import Path

    from tests.observability.promtool import Promtool

# Metrics that Prometheus adds: to every scrape, and for every alert.
SCRAPE = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS"}
LABELS_OF_TARGETS = {"job", "instance", *TARGET_LABELS}

# The engine's own metrics, from its reference; no test runs an engine that has them.
ENGINE = {
    "mistralrs_sequences_running",
    "mistralrs_sequences_waiting",
    "mistralrs_kv_cache_blocks_used",
    "mistralrs_kv_cache_blocks_total",
    "mistralrs_sequences_completed_total",
    "mistralrs_time_to_first_token_seconds_bucket",
    "mistralrs_inter_token_latency_seconds_bucket",
    "mistralrs_prefix_cache_lookups_total",
    "mistralrs_prefix_cache_hits_total",
    "mistralrs_paged_preemptions_total",
}

SPECIFIED = (
    "mistral_http_requests_total",
    "mistral_http_request_duration_seconds",
    "mistral_active_requests",
    "mistral_generate_duration_seconds",
    "mistral_generate_tokens_total",
    "mistral_streaming_chunks_total",
    "mistral_model_load_duration_seconds",
)

every_query = pytest.mark.parametrize("query", queries.everything(), ids=lambda query: query.where)


@pytest.fixture(scope="module")
def series() -> dict[str, set[str]]:
    """Return each series of a new proxy with one model, and its labels."""
    catalogue = proxy.ProxyMetrics()
    catalogue.model("some-model")
    text, _ = catalogue.expose("")
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@every_query
def test_every_metric_and_label_of_a_query_exists(
    query: queries.Query, series: dict[str, set[str]]
) -> None:
    for name, labels in queries.metrics_in(query.expr).items():
        if name in SCRAPE | ENGINE:
            continue
        assert name in series, f"the proxy has no {name}"
        assert labels <= series[name] | LABELS_OF_TARGETS, f"{name} has no such label"


@every_query
def test_every_query_groups_by_labels_that_exist(
    query: queries.Query, series: dict[str, set[str]]
) -> None:
    known = LABELS_OF_TARGETS | {"alertname", "reason"} | set().union(*series.values())
    assert queries.grouping_labels(query.expr) <= known


def test_every_query_is_valid_promql(promtool: Promtool, tmp_path: Path) -> None:
    rules = [f"  - record: q{n}\n    expr: |-\n" for n, _ in enumerate(queries.everything())]
    bodies = (query.expr.replace("\n", " ") for query in queries.everything())
    text = "groups:\n- name: all\n  rules:\n"
    text += "\n".join(f"{rule}      {body}" for rule, body in zip(rules, bodies, strict=True))
    file = tmp_path / "queries.yml"
    file.write_text(text, encoding="utf-8")
    result = promtool("check", "rules", str(file))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("metric", SPECIFIED)
def test_every_specified_metric_is_on_the_dashboard(metric: str) -> None:
    names = {name for query in queries.of_dashboard() for name in queries.metrics_in(query.expr)}
    assert any(name.startswith(metric) for name in names)


def test_dashboard_variables_filter_exactly_by_the_labels_that_metrics_have(
    series: dict[str, set[str]],
) -> None:
    for metric, label in FILTERS.items():
        samples = [name for name in series if name.startswith(metric)]
        assert samples
        assert all(label in series[name] for name in samples)


def test_every_metric_that_can_be_filtered_is(series: dict[str, set[str]]) -> None:
    labelled = {name for name, labels in series.items() if {"endpoint", "model"} & labels}
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in labelled}
    assert families == set(FILTERS)


def test_the_dashboard_knows_recorded_series_by_their_names() -> None:
    ours = {recording.name for recording in recordings(Thresholds())}
    assert any(re.fullmatch(RECORDED_NAMES, name) for name in ours)


def test_every_default_limit_is_a_bucket_edge_with_larger_ones_above_it() -> None:
    t = Thresholds()
    for limit, buckets in (
        (t.high_latency_seconds, proxy.HTTP_BUCKETS),
        (t.very_high_latency_seconds, proxy.HTTP_BUCKETS),
        (t.slow_generation_seconds, proxy.GENERATE_BUCKETS),
        (t.slow_first_token_seconds, proxy.FIRST_TOKEN_BUCKETS),
    ):
        assert limit in buckets
        assert len([edge for edge in buckets if edge > limit]) >= 3


def test_the_largest_limit_that_is_accepted_is_the_largest_bucket() -> None:
    assert max(proxy.HTTP_BUCKETS) == LARGEST_BUCKET_SECONDS
    assert max(proxy.FIRST_TOKEN_BUCKETS) >= LARGEST_BUCKET_SECONDS
    assert max(proxy.GENERATE_BUCKETS) == LARGEST_BUCKET_SECONDS
