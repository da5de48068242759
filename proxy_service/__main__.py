"""``python -m proxy_service``: reads the environment, builds the parts and serves."""

import gc
import os
import resource
import sys
from contextlib import suppress

from proxy_service.app import create_app
from proxy_service.clock import SystemClock
from proxy_service.engines.client import HttpEngine
from proxy_service.server.accepting import Accepting
from proxy_service.server.listening import BACKLOG, explain, listen
from proxy_service.server.stopping import stop_on_signals
from proxy_service.settings.schema import ProxySettings, SettingsError
from proxy_service.telemetry.logs import set_up_logging
from proxy_service.telemetry.metrics import ProxyMetrics

BAD_SETTINGS = 2
CANNOT_LISTEN = 1
# Open files; enough for tens of thousands of clients, each with a connection to the engine.
_DESCRIPTORS = 65_536
# OPEN_MAX of macOS (sys/syslimits.h).
_MACOS_OPEN_MAX = 10_240
# New objects after which the garbage collector runs. Requests leave hardly any cycles behind, but
# a hundred at once hold more objects than the interpreter's default threshold, so the collector
# would run several times for each.
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
    app.after_server_start(stop_on_signals)
    allow_descriptors()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    app.run(
        sock=listener,
        protocol=Accepting(listener),  # type: ignore[arg-type]  # Sanic only calls it
        single_process=True,
        motd=False,
        access_log=False,
        backlog=BACKLOG,
    )
    return 0


def allow_descriptors() -> None:
    """Raise the limit on open files as far as allowed; many systems set it to 1024 or less.

    Whatever its hard limit says, macOS may refuse more than its OPEN_MAX, so that is tried next.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (_DESCRIPTORS, _MACOS_OPEN_MAX):
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


if __name__ == "__main__":
    sys.exit(main())
