"""The main job on one machine without Docker: ``python -m ops.demo`` (``make demo``).

Engine, proxy and Prometheus run under one supervisor on loopback until Ctrl-C. Exit code 0 when the
operator stops them (Ctrl-C, SIGTERM, a closed terminal), 1 when something stands in the way or one
of them ends by itself.
"""

import json
import os
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from infra.render import prometheus_config
from infra.topology import ENGINE, PROMETHEUS, PROXY
from ops.demo.urls import DemoUrls, announced, demo_folder
from ops.prometheus.programs import Programs, ensure_programs
from ops.services import web
from ops.services.proxy_api import ProxyApi, keys_of
from ops.system.console import OperatorError, say
from ops.system.paths import ROOT
from ops.system.ports import LOOPBACK, Port, port_problems, read_port
from ops.system.supervisor import Supervisor, add_procfile

RULES_FILE = ROOT / "alerts" / "mistral-alerts.yml"
SCRAPE_INTERVAL = "10s"
"""Shorter than the full stack's, so that a first look shows something; the scrape may take 10s."""
POLL_SECONDS = 0.25
QUESTION = "Why is the sky blue?"
REQUEST_RATE = "sum by (endpoint, status) (rate(mistral_http_requests_total[1m]))"


@dataclass(frozen=True)
class DemoPorts:
    """The ports that the demo listens on, all on loopback."""

    engine: Port
    proxy: Port
    prometheus: Port

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "DemoPorts":
        """Read ENGINE_PORT, PROXY_PORT, PROMETHEUS_PORT. Raises OperatorError on a bad one."""
        return cls(
            engine=read_port("the engine", "ENGINE_PORT", environ, ENGINE.port),
            proxy=read_port("the proxy", "PROXY_PORT", environ, PROXY.port),
            prometheus=read_port("Prometheus", "PROMETHEUS_PORT", environ, PROMETHEUS.port),
        )

    @property
    def all(self) -> list[Port]:
        """The three of them."""
        return [self.engine, self.proxy, self.prometheus]

    def urls(self, *, with_prometheus: bool) -> DemoUrls:
        """Return where the services answer."""
        return DemoUrls(
            engine=_url(self.engine),
            proxy=_url(self.proxy),
            prometheus=_url(self.prometheus) if with_prometheus else None,
        )


def main() -> int:
    """Run the demo until it is stopped."""
    ports = DemoPorts.from_environ(os.environ)
    if problems := port_problems(ports.all):
        raise OperatorError("\nerror: ".join(problems))
    api_key, metrics_key = keys_of(os.environ)
    programs = _prometheus()
    urls = ports.urls(with_prometheus=programs is not None)
    folder = demo_folder(os.environ)
    _write_prometheus_config(ports, folder, metrics_key)
    proxy = ProxyApi(urls.proxy, api_key)
    supervisor = Supervisor(lambda stopping: _tell_when_ready(urls, proxy, stopping))
    environ = _environment(ports, folder)
    if programs:
        environ["PROMETHEUS"] = programs.prometheus
    without = set() if programs else {"prometheus"}
    add_procfile(supervisor, ROOT / "Procfile", environ, without=without)
    say("Starting the demo; Ctrl-C stops all of it.")
    with announced(urls, folder):
        ended = supervisor.run()
    if ended is not None:
        raise OperatorError(f"{ended}, so the demo stopped; its last lines above say why")
    say("The demo has stopped.")
    return 0


def _prometheus() -> Programs | None:
    try:
        return ensure_programs()
    except OperatorError as error:
        say(f"{error}.\nThe demo runs without Prometheus.")
        return None


def _write_prometheus_config(ports: DemoPorts, folder: Path, metrics_key: str | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    key_file = folder / "proxy-metrics-key"
    key_file.touch(mode=0o600)
    key_file.write_text(metrics_key or "", encoding="utf-8")
    config = prometheus_config(
        proxy_target=_target(ports.proxy),
        prometheus_target=_target(ports.prometheus),
        rules_glob=str(RULES_FILE),
        proxy_key_file=str(key_file) if metrics_key else None,
        scrape_interval=SCRAPE_INTERVAL,
    )
    (folder / "prometheus.yml").write_text(config, encoding="utf-8")


def _environment(ports: DemoPorts, folder: Path) -> dict[str, str]:
    """Environment of the processes: their ports, this Python first on PATH, output at once."""
    environ = {**os.environ, **{port.variable: str(port.number) for port in ports.all}}
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", "")])
    environ["DEMO_DIR"] = str(folder)
    environ["PYTHONUNBUFFERED"] = "1"
    return environ


def _tell_when_ready(urls: DemoUrls, proxy: ProxyApi, stopping: threading.Event) -> None:
    waiting = [f"{urls.engine}{ENGINE.health_path}", f"{urls.proxy}/readyz"]
    if urls.prometheus:
        waiting.append(f"{urls.prometheus}/-/ready")
    while not stopping.is_set():
        waiting = [url for url in waiting if not web.is_ready(url)]
        if not waiting and (model := _first_model(proxy)):
            say(_what_to_try(urls, model, asks_for_key=proxy.key is not None))
            return
        stopping.wait(POLL_SECONDS)


def _first_model(proxy: ProxyApi) -> str | None:
    """Name of the model that the proxy lists; None while it lists none or is just stopping."""
    try:
        models = proxy.get("/api/tags").json()["models"]
        return str(models[0]["name"])
    except (web.UnreachableError, ValueError, LookupError):
        return None


def _what_to_try(urls: DemoUrls, model: str, *, asks_for_key: bool) -> str:
    request = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    script = (
        f"import ollama; client = ollama.Client('{urls.proxy}'); "
        f"print(client.generate('{model}', '{QUESTION}').response)"
    )
    begin, header, variable = "Try:", "", ""
    if asks_for_key:
        keys = os.environ.get("API_KEY_FILE") or "the demo's own API_KEY"
        begin = f"Set API_KEY to a key from {keys} and try:"
        header = '-H "Authorization: Bearer $API_KEY" '
        variable = 'OLLAMA_API_KEY="$API_KEY" '
    lines = [
        "",
        f"The demo is ready. {begin}",
        "",
        f"  curl {header}{urls.proxy}/api/chat -d '{json.dumps(request)}'",
        "",
        f'  pip install ollama; {variable}python3 -c "{script}"',
        "",
        f"  Metrics           {urls.proxy}/metrics",
    ]
    if urls.prometheus:
        graph = f"{urls.prometheus}/graph?g0.expr={quote(REQUEST_RATE)}&g0.tab=0&g0.range_input=15m"
        lines.append(f"  Prometheus graph  {graph}")
    lines += ["  Check everything  make verify (in another terminal)", ""]
    return "\n".join(lines)


def _target(port: Port) -> str:
    return f"{LOOPBACK}:{port.number}"


def _url(port: Port) -> str:
    return f"http://{_target(port)}"
