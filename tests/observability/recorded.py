"""A Prometheus with an hour of samples: scrapes of a real proxy under a known load.

Each scrape is stored with the time at which it would have been taken, so nothing depends on how
fast the tests run.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from alerts.rules import alerts
from monitoring.names import ENGINE_JOB, JOB, TARGET_LABELS
from monitoring.thresholds import Thresholds
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry import metrics
from tests.observability import grafana
from tests.observability.history import History
from tests.observability.live import RunningPrometheus
from tests.observability.traffic import (
    QUEUED_LIMIT,
    RUNNING_LIMIT,
    Traffic,
)
from tests.proxy.running import STARTED_AT, RunningProxy, SteppedClock
from tests.proxy.scripted_engine import MODEL, ScriptedEngine

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tests.observability.promtool import Promtool
    from tests.proxy.running import Exposition

# As long as the windows of the alerts, and so many that the error budget is judged.
TICKS: Final = 21
INTERVAL: Final = grafana.SCRAPE_INTERVAL

# Seconds that the dashboard shows, and what Grafana makes of them.
RANGE: Final = 3600
# Seconds since 1970 at which the dashboard is looked at. No sample is at the edge of a range, so
# that it doesn't matter whether Prometheus counts an edge as part of it.
NOW: Final = STARTED_AT + 3595
LAST_SCRAPE: Final = NOW - 5
FIRST_SCRAPE: Final = LAST_SCRAPE - 239 * INTERVAL

INSTANCE: Final = "proxy:11434"
ENGINE: Final = "engine:8080"
TARGETS: Final = (
    {"job": JOB, "instance": INSTANCE, **TARGET_LABELS},
    {"job": JOB, "instance": "another:11434", **TARGET_LABELS},
    {"job": "another", "instance": INSTANCE, **TARGET_LABELS},
)
ENDPOINT: Final = "chat"
VARIABLES: Final = {
    "job": JOB,
    "instance": INSTANCE,
    "endpoint": ENDPOINT,
    "model": MODEL,
}

SCRAPE_SECONDS: Final = 0.012

# What the engine's own metrics grow by in a tick, and its gauges. The tests run no engine that has
# such metrics.
ENGINE_GAUGES: Final = {
    "mistralrs_sequences_running": 3,
    "mistralrs_sequences_waiting": 1,
    "mistralrs_kv_cache_blocks_used": 30,
    "mistralrs_kv_cache_blocks_total": 40,
}
ENGINE_COUNTERS: Final = {
    "mistralrs_prefix_cache_hits_total": 3,
    "mistralrs_prefix_cache_lookups_total": 4,
    "mistralrs_paged_preemptions_total": 2,
}
ENGINE_COMPLETED: Final = {"stop": 5, "canceled": 1}
ENGINE_FIRST_TOKENS: Final = [0.3, 0.3, 0.6, 0.6]
ENGINE_GAPS: Final = [0.03, 0.03, 0.06, 0.06]
# The engine's process: cores in use, bytes, and how many ticks it has run before it starts again.
ENGINE_CORES: Final = 1.5
ENGINE_MEMORY: Final = 250_000_000
ENGINE_RESTARTS_AFTER: Final = 3


@dataclass(frozen=True)
class Scrapes:
    """What a proxy exposed: idle, and after each tick.

    Attributes:
        taken: The scrapes in order; in the last of them one request runs and one waits.
        probed_at: When the engine was last probed, in seconds since the proxy started.
    """

    taken: Sequence[Exposition]
    probed_at: float

    def last(self, name: str) -> float:
        """Return a metric of the last scrape."""
        return self.taken[-1].value(name)

    @property
    def samples(self) -> int:
        """Return how many samples the last scrape has."""
        return len(self.taken[-1].samples)

    def rate(self, name: str) -> float:
        """Return the growth per second of a counter over the last four scrapes."""
        first, last = self.taken[-4].value(name), self.taken[-1].value(name)
        return (last - first) / (3 * INTERVAL)


@contextmanager
def recorded_hour(
    folder: Path, promtool: Promtool, scrapes: Scrapes, *, interval: int = INTERVAL
) -> Iterator[grafana.Screen]:
    """Run a Prometheus that has seen the proxy idle for most of an hour, then under load.

    ``interval`` is the time between two of its scrapes, in seconds.
    """
    history = History()
    add_scrape(history, scrapes.taken[0], FIRST_SCRAPE)
    times = range(LAST_SCRAPE - TICKS * interval, NOW, interval)
    for tick, at in enumerate(times):
        add_scrape(history, scrapes.taken[tick], at)
        add_engine(history, tick, at)
    for at in times[-2:]:
        add_alerts(history, at)
    history.store(promtool, folder)
    with RunningPrometheus(folder) as prometheus:
        yield grafana.Screen(
            prometheus=prometheus,
            now=NOW,
            range_seconds=RANGE,
            variables=VARIABLES,
            scrape_interval=interval,
        )


def record_scrapes() -> Scrapes:
    """Send the ticks to a proxy, and return its scrapes."""
    clock = SteppedClock()
    with ScriptedEngine() as engine:
        proxy = RunningProxy(
            ProxySettings(
                engine_url=engine.url,
                max_concurrent_requests=RUNNING_LIMIT,
                max_queued_requests=QUEUED_LIMIT,
            )
        )
        proxy.clock = clock
        with proxy:
            assert proxy.counted("mistral_upstream_up", 1)
            traffic = Traffic(engine, proxy, clock)
            scrapes = [proxy.idle()]
            for tick in range(1, TICKS + 1):
                clock.ahead_seconds = LAST_SCRAPE - (TICKS - tick + 1) * INTERVAL - STARTED_AT
                traffic.tick()
                if tick == TICKS:
                    traffic.hold_two()
                scrapes.append(proxy.scrape())
            traffic.let_go()
    return Scrapes(scrapes, traffic.probed_at)


def add_scrape(history: History, scrape: Exposition, at: int) -> None:
    """Add a scrape for each target, with what Prometheus itself adds to one."""
    own = {
        "up": 1.0,
        "scrape_duration_seconds": SCRAPE_SECONDS,
        "scrape_samples_scraped": len(scrape.samples),
    }
    for target in TARGETS:
        for (name, labels), value in scrape.samples.items():
            history.add(name, {**target, **dict(labels)}, value, at=at)
        for name, value in own.items():
            history.add(name, target, value, at=at)


def add_engine(history: History, tick: int, at: int) -> None:
    """Add a scrape of an engine with metrics of its own."""
    target = {"job": ENGINE_JOB, "instance": ENGINE}
    own = {
        "process_cpu_seconds_total": ENGINE_CORES * INTERVAL * tick,
        "process_resident_memory_bytes": ENGINE_MEMORY,
        "process_start_time_seconds": STARTED_AT + (tick > ENGINE_RESTARTS_AFTER),
    }
    for name, value in (ENGINE_GAUGES | own).items():
        history.add(name, target, value, at=at)
    for name, value in ENGINE_COUNTERS.items():
        history.add(name, target, value * tick, at=at)
    for reason, value in ENGINE_COMPLETED.items():
        labels = {**target, "reason": reason}
        history.add("mistralrs_sequences_completed_total", labels, value * tick, at=at)
    for name, seconds, edges in (
        ("time_to_first_token", ENGINE_FIRST_TOKENS, metrics.FIRST_TOKEN_BUCKETS),
        ("inter_token_latency", ENGINE_GAPS, metrics.OUTPUT_TOKEN_BUCKETS),
    ):
        for edge, count in cumulative(seconds, edges).items():
            labels = {**target, "le": f"{edge:g}".replace("inf", "+Inf")}
            history.add(f"mistralrs_{name}_seconds_bucket", labels, count * tick, at=at)


def add_alerts(history: History, at: int) -> None:
    """Add alerts as Prometheus records them: one firing, one pending, one of another service."""
    ours = {alert.name: alert.labels() for alert in alerts(Thresholds())}
    for name, state, labels in (
        ("MistralHighErrorRate", "firing", ours["MistralHighErrorRate"]),
        ("MistralHighActiveRequests", "pending", ours["MistralHighActiveRequests"]),
        ("Foreign", "firing", {"service": "another"}),
    ):
        history.add("ALERTS", {"alertname": name, "alertstate": state, **labels}, 1.0, at=at)


def cumulative(values: Iterable[float], edges: Sequence[float]) -> dict[float, int]:
    """Return how many values are at most each edge of a histogram."""
    observed = list(values)
    return {edge: sum(value <= edge for value in observed) for edge in (*edges, math.inf)}


def quantile(q: float, values: Iterable[float], edges: Sequence[float]) -> float:
    """Return a quantile as a histogram yields it: interpolated within its bucket."""
    lower_edge, below = 0.0, 0
    counts = cumulative(values, edges)
    rank = q * counts[math.inf]
    for edge, count in counts.items():
        if count >= rank:
            return lower_edge + (edge - lower_edge) * (rank - below) / (count - below)
        lower_edge, below = edge, count
    raise AssertionError("no values")
