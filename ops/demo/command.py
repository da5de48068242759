"""Engine, proxy and Prometheus on one machine without Docker: ``make demo``.

They run under one supervisor on loopback until Ctrl-C. Exit code 0 when the operator stops them
(Ctrl-C, SIGTERM, a closed terminal), 1 when they can't be started or one of them ends by itself.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from alerts.rules_file import RULES_FILE
from infra.prometheus_config import (
    PROTECTIVE_FLAGS,
    prometheus_config,
    retention_flag,
    takes_retention_from_file,
)
from ops.checkout import ROOT
from ops.clients.proxy import ProxyApi, keys_of
from ops.demo.ports import DemoPorts, address_of
from ops.demo.waiting import show_when_ready
from ops.processes.ports import port_problems
from ops.processes.runner import SystemRunner
from ops.processes.supervisor import Supervisor, add_procfile
from ops.prometheus.programs import Programs, ensure_programs, version_of
from ops.running.demo import announced, demo_folder
from ops.terminal.console import OperatorError, say
from ops.terminal.interrupts import interruptible
from ops.terminal.status import Terminal

# Short, so that a graph soon has data. The committed rules hold up to 20 seconds.
SCRAPE_INTERVAL_SECONDS = 10
# How long Prometheus keeps the demo's samples.
RETENTION = "7d"
FETCH_MODEL = (sys.executable, "-m", "embedded_engine", "--fetch-only")
STOPPED = "The demo has stopped."


def main() -> int:
    """Run the demo until it is stopped."""
    ports = DemoPorts.from_environ(os.environ)
    if problems := port_problems(ports.all):
        raise OperatorError("\nerror: ".join(problems))
    api_key, metrics_key = keys_of(os.environ)
    folder = demo_folder(os.environ)
    environ = _environment(ports, folder)
    try:
        with interruptible():
            programs = _prometheus()
            _fetch_model(environ)
    except KeyboardInterrupt:
        say(STOPPED)
        return 0
    if programs:
        environ["PROMETHEUS"] = programs.prometheus
    in_file = programs is not None and takes_retention_from_file(
        version_of(SystemRunner(), programs.prometheus)
    )
    more = () if in_file else (retention_flag(RETENTION),)
    environ["PROMETHEUS_FLAGS"] = " ".join((*PROTECTIVE_FLAGS, *more))
    _write_prometheus_config(ports, folder, metrics_key, RETENTION if in_file else None)
    urls = ports.urls(with_prometheus=programs is not None)
    proxy = ProxyApi(urls.proxy, api_key)
    terminal = Terminal()
    supervisor = Supervisor(
        lambda stopping: show_when_ready(urls, proxy, terminal, stopping), terminal
    )
    without = set() if programs else {"prometheus"}
    add_procfile(supervisor, ROOT / "Procfile", environ, without=without)
    say("Starting the demo; Ctrl-C stops it.")
    with announced(urls, folder):
        ended = supervisor.run()
    if ended is not None:
        raise OperatorError(f"{ended}, so the demo stopped; its last lines above say why")
    say(STOPPED)
    return 0


def _prometheus() -> Programs | None:
    try:
        return ensure_programs()
    except OperatorError as error:
        say(f"{error}.\nThe demo runs without Prometheus.")
        return None


def _fetch_model(environ: Mapping[str, str]) -> None:
    """Fetch the model in the foreground, where the engine can show its progress.

    Raises:
        OperatorError: It can't be fetched; the engine has printed why.
    """
    with subprocess.Popen(FETCH_MODEL, cwd=ROOT, env=environ) as process:  # noqa: S603 (our own)
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            raise
    if code:
        raise OperatorError("the model can't be served; the line above says why")


def _write_prometheus_config(
    ports: DemoPorts, folder: Path, metrics_key: str | None, retention: str | None
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    key_file = folder / "proxy-metrics-key"
    key_file.unlink(missing_ok=True)  # an existing file would keep its mode
    key_file.touch(mode=0o600)
    key_file.write_text(metrics_key or "", encoding="utf-8")
    config = prometheus_config(
        proxy_target=address_of(ports.proxy),
        prometheus_target=address_of(ports.prometheus),
        engine_target=address_of(ports.engine),
        rules_glob=str(RULES_FILE),
        proxy_key_file=str(key_file) if metrics_key else None,
        scrape_interval_seconds=SCRAPE_INTERVAL_SECONDS,
        retention=retention,
    )
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")


def _environment(ports: DemoPorts, folder: Path) -> dict[str, str]:
    """Return the processes' environment: ports, this Python first on PATH, unbuffered output."""
    environ = {"LOG_FORMAT": "text", **os.environ}
    environ |= {port.variable: str(port.number) for port in ports.all}
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")])
    environ["DEMO_DIR"] = str(folder)
    environ["PYTHONUNBUFFERED"] = "1"
    return environ
