"""What the long run runs: the real engine, the real proxy and a real Prometheus, on free ports.

The engine can be killed, and paused in the way of a machine that swaps or a driver that hangs.
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

from infra.render import prometheus_config
from monitoring.names import JOB
from ops.demo.session import RULES_FILE
from ops.services import web
from ops.services.prometheus_api import Prometheus
from ops.services.proxy_api import WITHOUT_KEYS, ProxyApi
from ops.system.console import OperatorError
from ops.system.polling import Poller
from ops.system.ports import LOOPBACK
from ops.system.process import LAST_LINES, Process, free_port, start_prometheus
from ops.verify.exposition import Exposition, scrape
from tests.soak.books import Sums

SILENCE_SECONDS: Final = 4.0
"""After this much silence of the engine the proxy gives a request up; a long pause is longer."""

_SETTINGS: Final = {
    "ENGINE_SILENCE_TIMEOUT": str(SILENCE_SECONDS),
    "ENGINE_REPLY_TIMEOUT": str(SILENCE_SECONDS),
    "ENGINE_PROBE_INTERVAL": "0.5",
    "ENGINE_KEEP_ALIVE": "2",
    # Fewer than the clients, so that all that can happen to a request does; and few enough for a
    # slow machine to answer some of them within the time-out.
    "MAX_CONCURRENT_REQUESTS": "2",
    "MAX_QUEUED_REQUESTS": "8",
    "LOG_LEVEL": "info",
}
_SCRAPE_SECONDS: Final = 10
_READY_SECONDS: Final = 300.0
_REQUESTS: Final = "mistral_http_requests_total"


class Parts:
    """A context manager; on leaving everything that it started is gone.

    Args:
        model: What the engine serves; empty for its default.
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
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            self._folder = Path(ends.enter_context(TemporaryDirectory(prefix="mistral-soak-")))
            ends.callback(self.kill_engine)
            self.start_engine()
            self._start_proxy(ends)
            self._start_prometheus(ends)
            if not self.await_engine():
                last = "\n".join(self._lines("engine")[-LAST_LINES:])
                raise OperatorError(f"the engine did not start; it said:\n{last}")
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.close()

    @property
    def model(self) -> str:
        """The model's id, from the engine itself: a question to the proxy would be counted."""
        models = web.get(f"{self._engine_url}/v1/models").json()["data"]
        return str(next(model["id"] for model in models if model["id"] != "default"))

    def start_engine(self) -> None:
        """Start the engine, without waiting for it."""
        command = [sys.executable, "-m", "embedded_engine", "--port", str(self._engine_port)]
        command += ["--model", self._model] if self._model else []
        self._engine = Process(command, self._folder / "engine.log", {})

    def kill_engine(self) -> None:
        """Let the engine die at once, as a crash does."""
        if self._engine is not None:
            self._engine.kill()

    def pause_engine(self) -> None:
        """Stop the engine where it is; its connections stay open."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a paused engine go on."""
        self._signal(signal.SIGCONT)

    def await_engine(self) -> bool:
        """Wait until the proxy finds the engine well; tells whether it did."""
        ready = f"{self.proxy}/readyz"
        return Poller().until(lambda: web.is_ready(ready), bool, timeout=_READY_SECONDS)

    def await_scrape(self) -> None:
        """Wait for Prometheus' first scrape, whose connection to the proxy it keeps."""
        up = f'up{{job="{JOB}"}}'
        Poller().until(lambda: self.prometheus.scalar(up), bool, timeout=3 * _SCRAPE_SECONDS)

    def scrape(self) -> Exposition:
        """Read the proxy's metrics now."""
        return scrape(ProxyApi(self.proxy))

    def log(self) -> list[str]:
        """Give the proxy's log so far."""
        return self._lines("proxy")

    def counted_by_prometheus(self) -> Sums:
        """Give the requests as Prometheus has them now."""
        sums: Sums = Counter()
        for series in self.prometheus.vector(_REQUESTS):
            labels, value = series["metric"], float(series["value"][1])
            sums[labels["endpoint"], labels["status"]] += int(value)
        return +sums

    def lowest_up(self, since: float) -> float | None:
        """Tell whether every scrape of the proxy worked since then: 1 if so.

        Args:
            since: Reading of ``time.monotonic``. The last scrape before it counts too, so that
                there is one however short the time was.
        """
        seconds = math.ceil(time.monotonic() - since) + _SCRAPE_SECONDS
        return self.prometheus.scalar(f'min_over_time(up{{job="{JOB}"}}[{seconds}s])')

    def _signal(self, number: signal.Signals) -> None:
        if self._engine is not None:
            self._engine.send(number)

    def _start_proxy(self, ends: ExitStack) -> None:
        addresses = {"MISTRAL_URL": self._engine_url, "BIND_ADDRESS": self._proxy_target}
        command = [sys.executable, "-m", "proxy_service"]
        process = Process(command, self._folder / "proxy.log", addresses | _SETTINGS | WITHOUT_KEYS)
        ends.callback(process.end)
        process.await_ready(f"{self.proxy}/livez")

    def _start_prometheus(self, ends: ExitStack) -> None:
        config = prometheus_config(
            proxy_target=self._proxy_target,
            prometheus_target=self._prometheus_target,
            rules_glob=str(RULES_FILE),
            scrape_interval=f"{_SCRAPE_SECONDS}s",
        )
        process = start_prometheus(self._folder, config, self._prometheus_target)
        ends.callback(process.end)
        process.await_ready(f"{self.prometheus.url}/-/ready")

    def _lines(self, name: str) -> list[str]:
        log = self._folder / f"{name}.log"
        return log.read_text(encoding="utf-8", errors="replace").splitlines()


def counted(exposition: Exposition) -> Sums:
    """Give the requests that the proxy has counted."""
    sums: Sums = Counter()
    for sample in exposition.families[_REQUESTS.removesuffix("_total")].samples:
        sums[sample.labels["endpoint"], sample.labels["status"]] += int(sample.value)
    return +sums
