"""The system under test: the real engine, the real proxy and a real Prometheus, on free ports.

The engine can be killed. It can also be paused, as when its machine swaps or its driver hangs.
"""

import math
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from alerts.rules_file import RULES_FILE
from infra.prometheus_config import prometheus_config
from infra.topology import PROMETHEUS, PROXY
from monitoring.names import JOB
from ops.clients import web
from ops.clients.exposition import Exposition, scrape
from ops.clients.prometheus import Prometheus
from ops.clients.proxy import WITHOUT_KEYS, ProxyApi
from ops.processes.polling import Poller
from ops.processes.ports import LOOPBACK, free_port
from ops.processes.process import LAST_LINES, Process
from ops.prometheus.server import start_prometheus
from ops.terminal.console import OperatorError
from tests.soak.reconciliation import Counts

# The proxy's timeout for a silent engine. Only the long pauses exceed it.
ENGINE_TIMEOUT_SECONDS: Final = 4.0

_SETTINGS: Final = {
    "ENGINE_SILENCE_TIMEOUT": str(ENGINE_TIMEOUT_SECONDS),
    "ENGINE_REPLY_TIMEOUT": str(ENGINE_TIMEOUT_SECONDS),
    "ENGINE_PROBE_INTERVAL": "0.5",
    "ENGINE_KEEP_ALIVE": "2",
    # Fewer slots than clients, so that requests also queue and are refused. Few enough that a slow
    # machine still completes some requests within the timeout.
    "MAX_CONCURRENT_REQUESTS": "2",
    "MAX_QUEUED_REQUESTS": "8",
    "LOG_LEVEL": "info",
}
_SCRAPE_INTERVAL_SECONDS: Final = 10
_READY_TIMEOUT_SECONDS: Final = 300.0
_REQUESTS_METRIC: Final = "mistral_http_requests_total"


class SystemUnderTest:
    """A context manager that starts the services and ends everything that it started.

    Args:
        model: Model that the engine serves; empty for its default.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._engine_port = free_port(LOOPBACK)
        self._engine_url = f"http://{LOOPBACK}:{self._engine_port}"
        self._proxy_target = f"{LOOPBACK}:{free_port(LOOPBACK)}"
        self.proxy = f"http://{self._proxy_target}"
        self._prometheus_target = f"{LOOPBACK}:{free_port(LOOPBACK)}"
        self.prometheus = Prometheus(f"http://{self._prometheus_target}")
        self._engine: Process | None = None
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self._folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="mistral-soak-")))
            cleanup.callback(self.kill_engine)
            self.start_engine()
            self._start_proxy(cleanup)
            self._start_prometheus(cleanup)
            if not self.await_engine():
                last = "\n".join(self._lines("engine")[-LAST_LINES:])
                raise OperatorError(f"the engine did not start; the end of its log:\n{last}")
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    @property
    def model(self) -> str:
        """The model's id, from the engine itself: the proxy would count the request."""
        models = web.get(f"{self._engine_url}/v1/models").json()["data"]
        return str(next(model["id"] for model in models if model["id"] != "default"))

    def start_engine(self) -> None:
        """Start the engine and return without waiting for it."""
        command = [sys.executable, "-m", "embedded_engine", "--port", str(self._engine_port)]
        command += ["--model", self._model] if self._model else []
        self._engine = Process(command, self._folder / "engine.log", {})

    def kill_engine(self) -> None:
        """Kill the engine, as a crash does."""
        if self._engine is not None:
            self._engine.kill()

    def pause_engine(self) -> None:
        """Pause the engine's process. Its connections stay open."""
        self._signal(signal.SIGSTOP)

    def resume_engine(self) -> None:
        """Resume a paused engine."""
        self._signal(signal.SIGCONT)

    def await_engine(self) -> bool:
        """Wait until the proxy reaches the engine. Return False after a timeout."""
        ready = f"{self.proxy}{PROXY.ready_path}"
        return Poller().until(lambda: web.is_ready(ready), bool, timeout=_READY_TIMEOUT_SECONDS)

    def await_scrape(self) -> None:
        """Wait for Prometheus' first scrape: it keeps that connection to the proxy open."""
        up = f'up{{job="{JOB}"}}'
        Poller().until(
            lambda: self.prometheus.scalar(up), bool, timeout=3 * _SCRAPE_INTERVAL_SECONDS
        )

    def scrape(self) -> Exposition:
        """Return the proxy's metrics."""
        return scrape(ProxyApi(self.proxy))

    def proxy_log(self) -> list[str]:
        """Return the lines of the proxy's log so far."""
        return self._lines("proxy")

    def counts_in_prometheus(self) -> Counts:
        """Return the requests that Prometheus has counted."""
        counts: Counts = Counter()
        for series in self.prometheus.vector(_REQUESTS_METRIC):
            labels, value = series["metric"], float(series["value"][1])
            counts[labels["endpoint"], labels["status"]] += int(value)
        return +counts

    def lowest_up(self, since: float) -> float | None:
        """Return the lowest ``up`` of the proxy: 1 if every scrape worked, None without scrapes.

        Args:
            since: A ``time.monotonic`` value. The last scrape before it is included, so that there
                is at least one, however short the run was.
        """
        seconds = math.ceil(time.monotonic() - since) + _SCRAPE_INTERVAL_SECONDS
        return self.prometheus.scalar(f'min_over_time(up{{job="{JOB}"}}[{seconds}s])')

    def _signal(self, number: signal.Signals) -> None:
        if self._engine is not None:
            self._engine.send(number)

    def _start_proxy(self, cleanup: ExitStack) -> None:
        addresses = {"MISTRAL_URL": self._engine_url, "BIND_ADDRESS": self._proxy_target}
        command = [sys.executable, "-m", "proxy_service"]
        process = Process(command, self._folder / "proxy.log", addresses | _SETTINGS | WITHOUT_KEYS)
        cleanup.callback(process.end)
        process.await_ready(lambda: web.is_ready(f"{self.proxy}{PROXY.health_path}"))

    def _start_prometheus(self, cleanup: ExitStack) -> None:
        config = prometheus_config(
            proxy_target=self._proxy_target,
            prometheus_target=self._prometheus_target,
            rules_glob=str(RULES_FILE),
            scrape_interval_seconds=_SCRAPE_INTERVAL_SECONDS,
        )
        process = start_prometheus(self._folder, config, self._prometheus_target)
        cleanup.callback(process.end)
        process.await_ready(lambda: web.is_ready(f"{self.prometheus.url}{PROMETHEUS.ready_path}"))

    def _lines(self, name: str) -> list[str]:
        log = self._folder / f"{name}.log"
        return log.read_text(encoding="utf-8", errors="replace").splitlines()


def counts_in(exposition: Exposition) -> Counts:
    """Return the requests that the proxy has counted."""
    counts: Counts = Counter()
    for sample in exposition.families[_REQUESTS_METRIC.removesuffix("_total")].samples:
        counts[sample.labels["endpoint"], sample.labels["status"]] += int(sample.value)
    return +counts
