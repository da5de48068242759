"""The system under attack: the engine or its stand-in, the proxy, its clients and its observers."""

import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.topology import PROXY
from ops.clients import web
from ops.clients.docker import DockerEngine
from ops.clients.proxy import WITHOUT_KEYS, ProxyApi
from ops.processes.polling import Poller
from ops.processes.ports import LOOPBACK, free_port
from ops.processes.process import Process
from ops.processes.runner import SystemRunner
from ops.terminal.console import OperatorError
from tests.attacks.observation import Events, MemoryWatch, asking_livez, scraping, watching
from tests.attacks.ordinary import chatting
from tests.attacks.proxy import PROGRAM, AttackedProxy, ProxyContainer, ProxyProcess
from tests.attacks.sender import Target
from tests.attacks.stand_in_engine import BULK_MODEL, MODEL

_PROXY_LOG: Final = "proxy.log"
_READY_SECONDS: Final = 120.0
_EVENT_TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Setting:
    """What is attacked.

    Attributes:
        folder: Existing folder for logs.
        scrape_seconds: Time between two scrapes.
        engine_url: A real engine; empty for the stand-in.
        image: The proxy's image; empty for a process.
        program: Arguments of the interpreter that runs the proxy as a process.
    """

    folder: Path
    scrape_seconds: float
    engine_url: str = ""
    image: str = ""
    program: Sequence[str] = PROGRAM


@dataclass(frozen=True)
class System:
    """The running system.

    Attributes:
        proxy: The proxy.
        target: Where attacks go.
        memory: Watches the proxy's memory.
        livez: Requests for ``/livez``.
        clients: Requests of the ordinary clients.
        scrapes: Scrapes.
    """

    proxy: AttackedProxy
    target: Target
    memory: MemoryWatch
    livez: Events = field(default_factory=Events)
    clients: Events = field(default_factory=Events)
    scrapes: Events = field(default_factory=Events)

    def await_events(self, *, clients: bool = True) -> None:
        """Wait until each observer, and each client if wanted, has something to report.

        On a busy machine that may take longer than the time that is observed.
        """
        awaited = [self.livez, self.scrapes, *([self.clients] if clients else [])]
        Poller().until(lambda: all(awaited), bool, timeout=_EVENT_TIMEOUT_SECONDS)

    def forget(self) -> None:
        """Forget what was observed so far."""
        for events in (self.livez, self.clients, self.scrapes):
            events.take()
        self.memory.take_peak()


@contextmanager
def running_system(setting: Setting) -> Iterator[System]:
    """Start everything, the clients and observers too, and end it when the block ends.

    Raises:
        OperatorError: Something doesn't start.
    """
    for log in setting.folder.glob("*.log"):
        log.unlink()
    with ExitStack() as cleanup:
        engine_url = setting.engine_url or _start_stand_in(setting.folder, cleanup)
        port, key = free_port(LOOPBACK), secrets.token_hex(16)
        netloc = f"{LOOPBACK}:{port}"
        environ = WITHOUT_KEYS | {
            "MISTRAL_URL": engine_url,
            "BIND_ADDRESS": netloc,
            "API_KEY": key,
        }
        proxy = _start_proxy(setting, environ, port)
        cleanup.callback(proxy.close)
        api = ProxyApi(f"http://{netloc}", key)
        _await_ready(api, engine_url, proxy, setting.folder)
        model = api.first_model() if setting.engine_url else MODEL
        if model is None:
            raise OperatorError(f"the engine at {engine_url} lists no model")
        bulk_model = model if setting.engine_url else BULK_MODEL
        system = System(proxy, Target(LOOPBACK, port, key, model, bulk_model), MemoryWatch(proxy))
        cleanup.enter_context(watching(system.memory))
        cleanup.enter_context(asking_livez(netloc, system.livez))
        cleanup.enter_context(
            scraping(netloc, key, system.scrapes, every_seconds=setting.scrape_seconds)
        )
        cleanup.enter_context(chatting(api.url, model, key, system.clients))
        yield system


def _start_stand_in(folder: Path, cleanup: ExitStack) -> str:
    port = free_port(LOOPBACK)
    command = [sys.executable, "-m", "tests.attacks.stand_in_engine", str(port)]
    process = Process(command, folder / "engine.log", {})
    cleanup.callback(process.end)
    url = f"http://{LOOPBACK}:{port}"
    process.await_ready(lambda: web.is_ready(f"{url}/v1/models"))
    return url


def _start_proxy(setting: Setting, environ: dict[str, str], port: int) -> AttackedProxy:
    log = setting.folder / _PROXY_LOG
    if not setting.image:
        return ProxyProcess(environ, log, setting.program)
    docker = DockerEngine(SystemRunner())
    docker.require()
    return ProxyContainer(setting.image, environ, docker, port, log)


def _await_ready(api: ProxyApi, engine_url: str, proxy: AttackedProxy, folder: Path) -> None:
    ready = f"{api.url}{PROXY.ready_path}"
    Poller().until(
        lambda: web.is_ready(ready) or proxy.restarts().number > 0, bool, timeout=_READY_SECONDS
    )
    if not web.is_ready(ready):
        raise OperatorError(
            f"the proxy did not start, or doesn't reach the engine at {engine_url}: read "
            f"{folder / _PROXY_LOG}"
        )
