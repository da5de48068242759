"""Every query of the dashboard, answered by a real Prometheus that scraped a real proxy.

The proxy served traffic of every kind from a scripted engine, so what the panels must show is
known to the last token.
"""

from __future__ import annotations

import math
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from alerts.prometheus import render
from monitoring.thresholds import Thresholds, Timing
from proxy_service.settings import ProxySettings
from tests.observability import queries
from tests.observability.live import RunningPrometheus
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    MODEL,
    OTHER_MODEL,
    USAGE,
    ScriptedEngine,
    Step,
    chunk,
    completion,
    json_reply,
    stream,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Queries that need an engine with metrics of its own.
NEED_THE_ENGINES_METRICS = {
    "Sequences in the engine A",
    "Sequences in the engine B",
    "KV cache in use A",
    "Sequences completed by reason A",
    "First token, engine and proxy A",
    "Time between tokens in the engine A",
    "Time between tokens in the engine B",
    "Prefix cache hits A",
    "Preemptions A",
}

#: Seconds that hold all of the traffic, and how Grafana's variables write them.
WINDOW_SECONDS = 600
EVERYTHING = "10m"

#: Waits so short that the errors sent here raise an alert within the test.
QUICK = Thresholds(
    timing=Timing(
        window_seconds=60,
        down_for_seconds=2,
        page_for_seconds=1,
        ticket_for_seconds=1,
        notice_for_seconds=1,
    )
)

WORDS = ("one", " two", " three", " four")
WHOLE_ANSWERS = 6
STREAMS = 6
LOADS = 1
CUT_AFTER = 2  # deltas, by the engine
LEFT_AFTER = 3  # deltas, by the client

SENT = {
    "success": WHOLE_ANSWERS + STREAMS + LOADS + 1,
    "client_error": 3,
    "error": 3,
    "cancelled": 1,
}
COMPLETE = WHOLE_ANSWERS + STREAMS + LOADS
OUTPUT_TOKENS = COMPLETE * USAGE["completion_tokens"] + CUT_AFTER + LEFT_AFTER
CHUNKS = STREAMS * len(WORDS) + CUT_AFTER + LEFT_AFTER

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}

#: A complete stream on a connection of its own.
FULL_STREAM = stream(*words(*WORDS).steps, bare_close=True)


def chat(proxy: RunningProxy, *, model: str = MODEL, streamed: bool) -> None:
    proxy.http.post("/api/chat", json=BODY | {"model": model, "stream": streamed})


def send_everything(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Send what ``SENT`` counts."""
    for _ in range(WHOLE_ANSWERS):
        engine.chat(completion("".join(WORDS)))
        chat(proxy, streamed=False)
    for _ in range(STREAMS):
        engine.chat(FULL_STREAM)
        chat(proxy, streamed=True)
    engine.chat(completion())
    engine.status_of[OTHER_MODEL] = "unloaded"
    proxy.probe()
    chat(proxy, model=OTHER_MODEL, streamed=False)
    for path, body in (("/api/chat", "{"), ("/api/chat", '{"model": "none"}'), ("/odd", "{}")):
        proxy.http.post(path, content=body)
    engine.chat(json_reply({"message": "broken"}, status=500))
    chat(proxy, streamed=False)
    chat(proxy, streamed=False)
    cut_a_stream(engine, proxy)
    leave_a_stream(engine, proxy)


def cut_a_stream(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Let the engine break off once the proxy has passed on what came so far."""
    passed_on = threading.Event()
    engine.chat(stream(*[chunk("x")] * CUT_AFTER, passed_on, Step.CUT))
    with proxy.http.stream("POST", "/api/chat", json=BODY) as answer:
        assert proxy.counted("mistral_streaming_chunks_total", CHUNKS - LEFT_AFTER, endpoint="chat")
        passed_on.set()
        answer.read()


def leave_a_stream(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """Hang up in the middle of a stream."""
    engine.chat(stream(*[chunk("x")] * LEFT_AFTER, Step.STALL))
    with proxy.http.stream("POST", "/api/chat", json=BODY) as answer:
        received = answer.iter_bytes()  # kept: a dropped one hangs up at once
        next(received)
        assert proxy.counted("mistral_streaming_chunks_total", CHUNKS, endpoint="chat")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrometheus]:
    """Give a Prometheus that has seen the proxy idle, under traffic and idle again."""
    folder = tmp_path_factory.mktemp("prometheus")
    rules = folder / "rules.yml"
    rules.write_text(render(QUICK), encoding="utf-8")
    with ScriptedEngine() as engine:
        settings = ProxySettings(engine_url=engine.url)
        with (
            RunningProxy(settings) as proxy,
            RunningPrometheus(folder, proxy.port, rules) as scraped,
        ):
            proxy.counted("mistral_upstream_up", 1)
            assert scraped.eventually(f'mistral_generate_tokens_total{{model="{MODEL}"}} == 0')
            send_everything(engine, proxy)
            proxy.idle()
            total = sum(SENT.values())
            assert scraped.eventually(f"sum(mistral_http_requests_total) == {total}")
            assert scraped.eventually(
                'ALERTS{alertname="MistralHighErrorRate",alertstate="firing"}'
            )
            yield scraped


def asked(expr: str) -> str:
    """Choose values for Grafana's variables."""
    for variable in ("$__rate_interval", "$__range"):
        expr = expr.replace(variable, EVERYTHING)
    return queries.interpolate(expr)


PANEL_QUERIES = [
    (f"{panel['title']} {target['refId']}", asked(target["expr"]), target["legendFormat"])
    for panel in queries.panels(queries.dashboard())
    for target in panel["targets"]
]


def legend(form: str, labels: dict[str, str]) -> str:
    """Name a series as Grafana would."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), form)


@pytest.mark.parametrize(
    ("where", "expr", "form"), PANEL_QUERIES, ids=[where for where, _, _ in PANEL_QUERIES]
)
def test_panel_has_data_with_one_name_per_series(
    prometheus: RunningPrometheus, where: str, expr: str, form: str
) -> None:
    series = prometheus.query(expr)
    if where in NEED_THE_ENGINES_METRICS:
        assert series == []
        return
    names = [legend(form, found["metric"]) or str(found["metric"]) for found in series]
    assert names, f"no data: {expr}"
    assert all(names)
    assert len(set(names)) == len(names)
    assert all(math.isfinite(float(found["value"][1])) for found in series)


def panel(title: str) -> str:
    """Give the first query of a panel."""
    return next(expr for where, expr, _ in PANEL_QUERIES if where == f"{title} A")


def values_by(series: list[dict[str, Any]], label: str) -> dict[str, float]:
    found = {one["metric"][label]: float(one["value"][1]) for one in series}
    return {name: value for name, value in found.items() if value}


def test_counters_equal_what_was_sent(prometheus: RunningPrometheus) -> None:
    by_status = prometheus.query("sum by (status) (mistral_http_requests_total)")
    assert values_by(by_status, "status") == SENT
    assert prometheus.value("sum(mistral_generate_tokens_total)") == OUTPUT_TOKENS
    assert prometheus.value("sum(mistral_streaming_chunks_total)") == CHUNKS
    assert prometheus.value("sum(mistral_generate_duration_seconds_count)") == COMPLETE
    assert prometheus.value("sum(mistral_model_load_duration_seconds_count)") == LOADS
    assert prometheus.value("sum(mistral_prompt_tokens_total)") == COMPLETE * USAGE["prompt_tokens"]
    outcomes = prometheus.query("sum by (outcome) (mistral_streams_total)")
    assert values_by(outcomes, "outcome") == {
        "completed": STREAMS,
        "upstream_error": 1,
        "client_disconnected": 1,
    }


def test_tiles_tell_the_state(prometheus: RunningPrometheus) -> None:
    assert prometheus.value(panel("Proxy")) == 1
    assert prometheus.value(panel("Engine")) == 1
    assert prometheus.value(panel("Active now")) == 0
    assert prometheus.value(panel("Firing alerts")) >= 1
    assert 0 < prometheus.value(panel("p95 latency")) < 5
    assert 0 < prometheus.value(panel("Uptime")) < 300


def test_the_engines_share_of_a_request_is_told_apart(prometheus: RunningPrometheus) -> None:
    mean = prometheus.value(
        "sum(mistral_http_request_duration_seconds_sum)"
        " / sum(mistral_http_request_duration_seconds_count)"
    )
    assert 0 < prometheus.value(panel("Time outside the engine")) < 2 * mean
    waits = {
        one["metric"]["operation"] for one in prometheus.query(panel("Waiting for the engine"))
    }
    assert waits == {"chat", "models", "load"}
    assert 0 <= prometheus.value(panel("Engine's last answer")) < 300


def test_the_dashboard_gives_exact_counts(prometheus: RunningPrometheus) -> None:
    shown = {
        form: prometheus.value(expr)
        for where, expr, form in PANEL_QUERIES
        if where.startswith("Since the start")
    }
    assert shown == {
        "requests": sum(SENT.values()),
        "errors": SENT["error"],
        "tokens": OUTPUT_TOKENS,
    }


def test_rates_are_of_the_size_that_was_sent(prometheus: RunningPrometheus) -> None:
    """Prometheus extrapolates to the edges of the window, so these are near, not equal."""

    def shown(title: str) -> float:
        return sum(float(one["value"][1]) for one in prometheus.query(panel(title)))

    requests = sum(SENT.values())
    failed_ratio = SENT["error"] / (SENT["error"] + SENT["success"])
    assert shown("Requests") == near(requests)
    assert shown("Request rate by endpoint") == near(requests / WINDOW_SECONDS)
    assert shown("Requests by outcome") == near(requests / WINDOW_SECONDS)
    assert shown("Output tokens per second by model") == near(OUTPUT_TOKENS / WINDOW_SECONDS)
    assert shown("Streamed chunks by endpoint") == near(CHUNKS / WINDOW_SECONDS)
    assert shown("Error rate") == near(failed_ratio)
    assert shown("Error budget") == near(1 - failed_ratio / 0.01)


def near(expected: float) -> object:
    """Accept half as much more or less: the traffic lasts only a few scrapes."""
    return pytest.approx(expected, rel=0.5)
