"""A proxy that dies and starts again, and one without traffic, as a real Prometheus sees them."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from alerts.prometheus import render
from alerts.rules_file import RULES_FILE
from monitoring.thresholds import Thresholds, Timing
from ops.processes.ports import LOOPBACK, free_port
from proxy_service.settings.schema import ProxySettings
from tests.observability import queries
from tests.observability.live import RunningPrometheus, scraping
from tests.processes import start_process
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    ScriptedEngine,
    Step,
    delta_event,
    stream,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.processes import RunningProcess

ACTIVE = 'mistral_active_requests{job="mistral"}'
CHATS = 'mistral_http_requests_total{job="mistral",endpoint="chat",status="success"}'

# A proxy that is down fires its alert after three seconds.
QUICK = Thresholds(timing=Timing(scrape_interval_seconds=1, down_for_seconds=3))


@pytest.fixture
def port() -> int:
    return free_port(LOOPBACK)


def proxy(port: int, engine: ScriptedEngine) -> AbstractContextManager[RunningProcess]:
    environ = {"BIND_ADDRESS": f"127.0.0.1:{port}", "MISTRAL_URL": engine.url}
    ready_url = f"http://127.0.0.1:{port}/readyz"
    return start_process(["-m", "proxy_service"], env=environ, ready_url=ready_url)


def chat(port: int, client: httpx.Client) -> AbstractContextManager[httpx.Response]:
    body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
    return client.stream("POST", f"http://127.0.0.1:{port}/api/chat", json=body)


def test_a_proxy_killed_during_a_stream_restarts_at_zero_and_is_marked(
    tmp_path: Path, port: int
) -> None:
    """An alert fires meanwhile, no request stays active, the dashboard marks the restart."""
    of_panel = {query.where: query.expr for query in queries.of_dashboard()}
    rules = tmp_path / "rules.yml"
    rules.write_text(render(QUICK), encoding="utf-8")
    complete = stream(
        delta_event("a"), delta_event("", finish="stop", usage=USAGE), DONE, bare_close=True
    )
    with (
        ScriptedEngine() as engine,
        httpx.Client(trust_env=False) as client,
        proxy(port, engine) as process,
        RunningPrometheus(tmp_path, scraping(port, rules)) as prometheus,
    ):
        engine.chat(complete)
        for _ in range(3):
            with chat(port, client) as response:
                response.read()
        assert prometheus.eventually(f"{CHATS} == 3")
        engine.chat(stream(delta_event("a"), Step.STALL))
        with chat(port, client) as response:
            parts = response.iter_raw()  # kept, because the stream closes with its iterator
            next(parts)
            assert prometheus.eventually(f"{ACTIVE} == 1")
            assert prometheus.eventually(f"({of_panel['Firing alerts A']}) == 0")
            assert process.stop(signal.SIGKILL) == -signal.SIGKILL
            before = time.time()
            with pytest.raises(httpx.RemoteProtocolError):
                list(parts)
        assert prometheus.eventually(f"({of_panel['Proxy A']}) == 0")
        assert prometheus.eventually(f"({of_panel['Firing alerts A']}) == 1")
        for tile in ("p95 latency A", "Tokens/s A", "Engine A"):
            assert prometheus.query(of_panel[tile]) == [], "nothing is known"
        (alert,) = prometheus.query(f"({of_panel['Alerts A']}) == 2")
        assert alert["metric"] == {"alertname": "MistralDown"}
        with proxy(port, engine):
            engine.chat(complete)
            with chat(port, client) as response:
                response.read()
            assert prometheus.eventually(f"{CHATS} == 1")
            assert prometheus.value(ACTIVE) == 0
            started = of_panel["annotation Proxy starts"]
            assert prometheus.eventually(f"({started}) > {before * 1000}")
            assert prometheus.query("rate(mistral_http_requests_total[1m]) < 0") == []
            assert prometheus.query('ALERTS{alertname="MistralNoRequests"}') == []


def test_before_any_traffic_every_query_returns_usable_numbers(tmp_path: Path) -> None:
    """With ten models: nothing is red, nothing is drawn twice, idle or not."""
    with ScriptedEngine() as engine:
        engine.status_of |= {f"model-{n}": "loaded" for n in range(8)}
        with (
            RunningProxy(ProxySettings(engine_url=engine.url)) as idle,
            RunningPrometheus(tmp_path, scraping(idle.port, RULES_FILE)) as prometheus,
        ):
            assert prometheus.eventually("count(mistral_model_loaded) == 10")
            for query in queries.of_dashboard():
                series = prometheus.query(query.expr)
                names = [str(sorted(one["metric"].items())) for one in series]
                assert len(set(names)) == len(names), query.where
                assert all(one["value"][1] not in ("NaN", "+Inf") for one in series), query.where
            models = next(a.expr for a in queries.of_dashboard() if a.where == "Models A")
            assert prometheus.eventually(f"count({models}) == 10")
