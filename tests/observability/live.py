"""A real Prometheus, with samples of its own or one that scrapes a real proxy twice a second."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import httpx

from infra.prometheus_config import prometheus_config
from infra.topology import PROMETHEUS
from ops.processes.ports import LOOPBACK, free_port
from ops.prometheus.programs import require_programs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Seconds that a start, or a change that the next scrape shows, may take.
TIMEOUT = 60.0

SCRAPE_INTERVAL_SECONDS = 0.5


class RunningPrometheus:
    """A context manager; it reads the samples in `folder`, and scrapes what `config` names."""

    def __init__(self, folder: Path, config: str = "") -> None:
        port = free_port(LOOPBACK)
        config_file = folder / "prometheus.yml"
        config_file.write_text(config, encoding="utf-8")
        self._command = [
            require_programs().prometheus,
            f"--config.file={config_file}",
            f"--storage.tsdb.path={folder}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        self._log = folder / "prometheus.log"
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10)

    def __enter__(self) -> Self:
        self._output = self._log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            self._command, stdout=self._output, stderr=subprocess.STDOUT
        )
        assert self._eventually(self._is_ready), self._log.read_text(encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
        self._process.terminate()
        self._process.wait()
        self._output.close()

    def query(self, expr: str, *, at: int | None = None) -> list[dict[str, Any]]:
        """Return the series of an instant query; each has its labels and a value.

        `at` is the time of evaluation in seconds since 1970; None means now.
        """
        parameters = {"query": expr} | ({} if at is None else {"time": str(at)})
        body = self._http.get("/api/v1/query", params=parameters).json()
        assert body["status"] == "success", f"{expr}: {body}"
        series: list[dict[str, Any]] = body["data"]["result"]
        return series

    def value(self, expr: str) -> float:
        """Return the one value of a query."""
        (series,) = self.query(expr)
        return float(series["value"][1])

    def eventually(self, expr: str) -> bool:
        """Wait until a query returns a series; return whether it did."""
        return self._eventually(lambda: bool(self.query(expr)))

    def _is_ready(self) -> bool:
        try:
            return self._http.get(PROMETHEUS.ready_path).is_success
        except httpx.TransportError:
            return False  # not listening yet

    def _eventually(self, holds: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + TIMEOUT
        while not holds():
            if time.monotonic() > deadline:
                return False
            threading.Event().wait(0.05)
        return True


def scraping(proxy_port: int, rules_file: Path) -> str:
    """Return the project's own configuration, scraping faster than a stack would."""
    return prometheus_config(
        proxy_target=f"127.0.0.1:{proxy_port}",
        prometheus_target="127.0.0.1:1",  # nothing here needs Prometheus' own metrics
        rules_glob=str(rules_file),
        scrape_interval_seconds=SCRAPE_INTERVAL_SECONDS,
    )
