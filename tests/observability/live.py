"""A real Prometheus that scrapes a real proxy twice a second."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import httpx
import yaml

from infra.render import prometheus_config
from ops.prometheus.programs import require_programs
from ops.system.ports import LOOPBACK, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Seconds. What Prometheus learns with the next scrape is given this long.
PATIENCE = 30.0

SCRAPE_INTERVAL = "500ms"


class RunningPrometheus:
    """A context manager; it asks `proxy_port` and evaluates the rules in `rules_file`."""

    def __init__(self, folder: Path, proxy_port: int, rules_file: Path) -> None:
        port = free_port(LOOPBACK)
        config = folder / "prometheus.yml"
        config.write_text(_quickened(proxy_port, port, rules_file), encoding="utf-8")
        self._command = [
            require_programs().prometheus,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
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

    def query(self, expr: str) -> list[dict[str, Any]]:
        """Give the series of an instant query; each has its labels and a value."""
        reply = self._http.get("/api/v1/query", params={"query": expr})
        body = reply.json()
        assert body["status"] == "success", f"{expr}: {body}"
        series: list[dict[str, Any]] = body["data"]["result"]
        return series

    def value(self, expr: str) -> float:
        """Give the one value of a query."""
        (series,) = self.query(expr)
        return float(series["value"][1])

    def eventually(self, expr: str) -> bool:
        """Wait until a query returns something; tells whether it did."""
        return self._eventually(lambda: bool(self.query(expr)))

    def _is_ready(self) -> bool:
        try:
            return self._http.get("/-/ready").is_success
        except httpx.TransportError:
            return False  # not listening yet

    def _eventually(self, holds: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                return False
            threading.Event().wait(0.05)
        return True


def _quickened(proxy_port: int, port: int, rules_file: Path) -> str:
    """Take the project's own configuration, scraping faster than a stack would."""
    config = yaml.safe_load(
        prometheus_config(
            proxy_target=f"127.0.0.1:{proxy_port}",
            prometheus_target=f"127.0.0.1:{port}",
            rules_glob=str(rules_file),
        )
    )
    config["global"] = {
        "scrape_interval": SCRAPE_INTERVAL,
        "scrape_timeout": SCRAPE_INTERVAL,
        "evaluation_interval": SCRAPE_INTERVAL,
    }
    for job in config["scrape_configs"]:
        job.pop("scrape_timeout", None)
    return yaml.safe_dump(config)
