"""``python -m proxy_service``: reads the environment, builds the parts and serves."""

import errno
import gc
import os
import resource
import socket
import sys

from proxy_service.app import create_app
from proxy_service.clock import SystemClock
from proxy_service.engines.client import HttpEngine
from proxy_service.server.connection import ClientConnection
from proxy_service.settings.schema import ProxySettings, SettingsError
from proxy_service.settings.values import BindAddress
from proxy_service.telemetry.logs import set_up_logging
from proxy_service.telemetry.metrics import ProxyMetrics

BAD_SETTINGS = 2
CANNOT_LISTEN = 1
_BACKLOG = 1024
# Open files; enough for tens of thousands of clients, each with a connection to the engine.
_DESCRIPTORS = 65_536
# New objects after which the garbage collector runs. Requests leave hardly any cycles behind, but
# a hundred at once hold more objects than the interpreter's default threshold, which would make it
# run several times for each.
_COLLECT_AFTER = 10_000


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    try:
        settings = ProxySettings.from_environ(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"proxy_service: {error}\n")
        return BAD_SETTINGS
    try:
        listener = listen(settings.bind)
    except OSError as error:
        sys.stderr.write(f"proxy_service: {explain(error, settings.bind)}\n")
        return CANNOT_LISTEN
    set_up_logging(settings.log_level, settings.log_format)
    metrics, clock = ProxyMetrics(), SystemClock()
    app = create_app(
        settings, engine=HttpEngine(settings, metrics, clock), metrics=metrics, clock=clock
    )
    _allow_descriptors()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    app.run(
        sock=listener,
        protocol=ClientConnection,
        single_process=True,
        motd=False,
        access_log=False,
        backlog=_BACKLOG,
    )
    return 0


def _allow_descriptors() -> None:
    """Raise the limit of open files as far as allowed; many systems set it to 1024 or less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def listen(bind: BindAddress) -> socket.socket:
    """Return a socket that listens on ``bind``.

    It really listens: on Linux, ``SO_REUSEADDR`` lets several sockets bind one port as long as
    none of them listens, so a bound port alone isn't taken yet. Sanic calls ``listen`` again when
    it starts to accept, which changes nothing.

    Raises:
        OSError: The port is taken, or the address can't be used.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def explain(error: OSError, bind: BindAddress) -> str:
    """Return one line that says why ``bind`` can't be used, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {bind.port} on {bind.host} is taken, perhaps by Ollama; "
            "stop what uses it, or set another one, for example "
            f"BIND_ADDRESS={bind.host}:{bind.port + 1}"
        )
    return f"can't listen on {bind}: {error.strerror or error}; set BIND_ADDRESS to another address"


if __name__ == "__main__":
    sys.exit(main())
