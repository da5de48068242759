"""Where the conditions are caused: a stand-in engine, a real proxy and a real Prometheus.

All of it belongs to the drill: free ports, a temporary folder, and processes that end with the
``with`` block.
"""

import signal
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from infra.topology import PROMETHEUS, PROXY
from monitoring.names import RULES_FILE_NAME
from ops.clients import web
from ops.clients.prometheus import PROXY_IS_UP, Prometheus, PrometheusError
from ops.clients.proxy import WITHOUT_KEYS
from ops.drill.intervals import DrillConfig
from ops.drill.load import ClientGroup, Traffic, generate_load
from ops.drill.stand_in_engine import StandInEngine
from ops.drill.timeline import State
from ops.processes.polling import Poller
from ops.processes.ports import LOOPBACK, free_port
from ops.processes.process import Process
from ops.prometheus.server import start_prometheus
from ops.terminal.console import OperatorError

# Interval at which the proxy probes its engine.
PROBE_SECONDS: Final = "0.5"


class Sandbox:
    """A context manager that starts the services and ends everything that it started.

    Args:
        config: Thresholds and intervals.
        address: Address of this machine on which Prometheus listens.
    """

    def __init__(self, config: DrillConfig, address: str = LOOPBACK) -> None:
        self.config = config
        self.engine = StandInEngine()
        self._proxy_target = f"{LOOPBACK}:{free_port(LOOPBACK)}"
        self._prometheus_target = f"{address}:{free_port(address)}"
        self.proxy = f"http://{self._proxy_target}"
        self.prometheus = f"http://{self._prometheus_target}"
        self._proxy_process: Process | None = None
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self._folder = Path(cleanup.enter_context(TemporaryDirectory(prefix="mistral-drill-")))
            self.engine.start()
            cleanup.callback(self.engine.stop)
            cleanup.callback(self.kill_proxy)
            self.start_proxy()
            self._prometheus_process = self._start_prometheus()
            cleanup.callback(self._prometheus_process.end)
            self._prometheus_process.await_ready(
                lambda: web.is_ready(f"{self.prometheus}{PROMETHEUS.ready_path}")
            )
            self._await_inactive_alerts()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.close()

    def load(self, *groups: ClientGroup) -> AbstractContextManager[Traffic]:
        """Let clients send requests to the proxy while the ``with`` block runs."""
        return generate_load(self.proxy, *groups)

    def kill_proxy(self) -> None:
        """Kill the proxy, as a crash does."""
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
        self._proxy_process.await_ready(lambda: web.is_ready(f"{self.proxy}{PROXY.ready_path}"))

    def remove_target(self) -> None:
        """Remove the proxy from Prometheus' configuration."""
        self._reconfigure(proxy=None)

    def restore_target(self) -> None:
        """Put the proxy back into Prometheus' configuration."""
        self._reconfigure(proxy=self._proxy_target)

    def _start_prometheus(self) -> Process:
        rules = self._folder / RULES_FILE_NAME
        rules.write_text(self.config.prometheus_rules(), encoding="utf-8")
        config = self._prometheus_config(proxy=self._proxy_target)
        return start_prometheus(self._folder, config, self._prometheus_target)

    def _await_inactive_alerts(self) -> None:
        """Wait for the first scrape. Before it Prometheus rightly considers the proxy down."""
        prometheus = Prometheus(self.prometheus)

        def inactive() -> bool:
            try:
                scraped = prometheus.scalar(PROXY_IS_UP) == 1
                rules = prometheus.alert_rules().values()
            except PrometheusError:
                return False  # on a busy machine the API may time out
            return scraped and all(rule["state"] == State.INACTIVE for rule in rules)

        if not Poller().until(inactive, bool, timeout=self.config.timeout_seconds):
            raise OperatorError(
                f"the drill's Prometheus did not scrape the drill's proxy with all alerts inactive "
                f"within {self.config.timeout_seconds:g} s; try again on a less busy machine"
            )

    def _reconfigure(self, *, proxy: str | None) -> None:
        config = self._prometheus_config(proxy=proxy)
        (self._folder / "prometheus.yml").write_text(config, encoding="utf-8")
        self._prometheus_process.send(signal.SIGHUP)

    def _prometheus_config(self, *, proxy: str | None) -> str:
        return self.config.prometheus_config(
            proxy=proxy,
            prometheus=self._prometheus_target,
            rules=str(self._folder / RULES_FILE_NAME),
        )
