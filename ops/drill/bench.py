"""What the conditions are caused on: a scripted engine, a real proxy and a real Prometheus.

All of it is the drill's own: free ports, a folder that vanishes, processes that end with the block.
"""

import signal
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from monitoring.names import JOB
from ops.drill.engine import DrillEngine
from ops.drill.load import Clients, Traffic, asking
from ops.drill.pace import Pace
from ops.drill.timeline import State
from ops.services.prometheus_api import Prometheus, PrometheusError
from ops.services.proxy_api import WITHOUT_KEYS
from ops.system.console import OperatorError
from ops.system.polling import Poller
from ops.system.ports import LOOPBACK
from ops.system.process import Process, free_port, start_prometheus

PROBE_SECONDS: Final = "0.5"
"""Pause between the proxy's looks at its engine."""


class Bench:
    """A context manager; on leaving everything that it started is gone.

    Args:
        pace: Limits and rhythm.
        address: Address of this machine on which Prometheus listens.
    """

    def __init__(self, pace: Pace, address: str = LOOPBACK) -> None:
        self.pace = pace
        self.engine = DrillEngine()
        self._proxy_target = f"{LOOPBACK}:{free_port(LOOPBACK)}"
        self._prometheus_target = f"{address}:{free_port(address)}"
        self.proxy = f"http://{self._proxy_target}"
        self.prometheus = f"http://{self._prometheus_target}"
        self._proxy_process: Process | None = None
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as ends:
            self._folder = Path(ends.enter_context(TemporaryDirectory(prefix="mistral-drill-")))
            self.engine.start()
            ends.callback(self.engine.stop)
            ends.callback(self.kill_proxy)
            self.start_proxy()
            self._prometheus_process = self._start_prometheus()
            ends.callback(self._prometheus_process.end)
            self._prometheus_process.await_ready(f"{self.prometheus}/-/ready")
            self._await_quiet()
            self._ends = ends.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.close()

    def asking(self, *groups: Clients) -> AbstractContextManager[Traffic]:
        """Let clients ask the proxy for as long as the block runs."""
        return asking(self.proxy, *groups)

    def kill_proxy(self) -> None:
        """Let the proxy die at once, as a crash does."""
        if self._proxy_process is not None:
            self._proxy_process.kill()

    def start_proxy(self) -> None:
        """Start the proxy and wait until it reaches its engine."""
        environ = {
            "MISTRAL_URL": self.engine.url,
            "BIND_ADDRESS": self._proxy_target,
            "ENGINE_PROBE_INTERVAL": PROBE_SECONDS,
            "LOG_LEVEL": "error",
            **WITHOUT_KEYS,
        }
        command = [sys.executable, "-m", "proxy_service"]
        self._proxy_process = Process(command, self._folder / "proxy.log", environ)
        self._proxy_process.await_ready(f"{self.proxy}/readyz")

    def lose_target(self) -> None:
        """Take the proxy out of Prometheus' configuration."""
        self._configure(proxy="")

    def find_target(self) -> None:
        """Put the proxy back into Prometheus' configuration."""
        self._configure(proxy=self._proxy_target)

    def _start_prometheus(self) -> Process:
        rules = self._folder / "mistral-alerts.yml"
        rules.write_text(self.pace.prometheus_rules(), encoding="utf-8")
        config = self._config(proxy=self._proxy_target)
        return start_prometheus(self._folder, config, self._prometheus_target)

    def _await_quiet(self) -> None:
        """Wait for the first scrape: until then Prometheus rightly holds the proxy for gone."""
        prometheus = Prometheus(self.prometheus)

        def quiet() -> bool:
            try:
                scraped = prometheus.scalar(f'min(up{{job="{JOB}"}})') == 1
                rules = prometheus.alert_rules().values()
            except PrometheusError:
                return False  # a busy machine may make it late
            return scraped and all(rule["state"] == State.INACTIVE for rule in rules)

        if not Poller().until(quiet, bool, timeout=self.pace.timeout_seconds):
            raise OperatorError("the drill's Prometheus does not find the drill's proxy well")

    def _configure(self, *, proxy: str) -> None:
        config = self._config(proxy=proxy)
        (self._folder / "prometheus.yml").write_text(config, encoding="utf-8")
        self._prometheus_process.send(signal.SIGHUP)

    def _config(self, *, proxy: str) -> str:
        return self.pace.prometheus_config(
            proxy=proxy,
            prometheus=self._prometheus_target,
            rules=str(self._folder / "mistral-alerts.yml"),
        )
