"""Start the embedded engine: `python -m embedded_engine --model MODEL --port PORT`.

With `--fetch-only`, only download the model: exit code 0 once it is in the cache.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import NoReturn

from embedded_engine.errors import PortTakenError, StartError
from embedded_engine.hosts import is_loopback
from embedded_engine.models import find_model
from embedded_engine.settings import PORT_VARIABLE, EngineSettings, from_command_line

# How long replies may take to stop. Docker kills a container 10 s after asking it to stop.
_STOP_SECONDS = 3.0
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# A shell's exit code for a process that a signal ended is this plus the signal's number.
_SIGNAL_EXIT_CODES = 128

_say = partial(print, flush=True)


def main() -> None:
    """Load the model, then listen until SIGINT or SIGTERM; or only fetch the model."""
    settings = from_command_line(sys.argv[1:], os.environ)
    # Otherwise the engine writes twenty lines per start to stdout, in colour.
    os.environ.setdefault("RUST_LOG", "warn")
    os.environ.setdefault("NO_COLOR", "1")
    # The wheel's threads wait for one another after each step. With one for each core, a single
    # busy core slows all of them down many times over. Of two cores, both are needed: one thread
    # makes a third as many tokens per second.
    os.environ.setdefault("RAYON_NUM_THREADS", str(max(_cores() - 1, min(_cores(), 2))))
    for number in _STOP_SIGNALS:
        signal.signal(number, _interrupt if settings.fetch_only else _leave)
    try:
        if settings.fetch_only:
            find_model(settings.model, settings.cache, _say)
        else:
            _serve(settings)
    except StartError as error:
        sys.exit(f"embedded engine: {error}")


def _cores() -> int:
    """Return the number of cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _serve(settings: EngineSettings) -> None:
    # Claimed before the download, which would be wasted if the port is taken. It listens only once
    # the model is loaded.
    with _claimed(settings) as listener:
        model = find_model(settings.model, settings.cache, _say)
        _say(f"loading {model.model_id}")
        started = time.monotonic()
        with _killable():
            # Imported late: importing the wheel takes a moment, and a signal must stop a download.
            from embedded_engine.app import create_app  # noqa: PLC0415
            from embedded_engine.engine import load  # noqa: PLC0415
            from embedded_engine.stopping import stop_on_signals  # noqa: PLC0415

            engine = load(model)
        _say(f"loaded in {time.monotonic() - started:.1f} s")
        _listen(listener, settings)
        _say(f"listening on http://{settings.host}:{settings.port}")
        app = create_app(engine, only_local_names=is_loopback(settings.host))
        app.register_listener(stop_on_signals, "after_server_start")
        app.run(sock=listener, single_process=True, motd=False)
    if not engine.has_stopped(_STOP_SECONDS):
        # A thread is still inside the engine; shutting down the interpreter would crash it.
        os._exit(0)


def _claimed(settings: EngineSettings) -> socket.socket:
    """Return a socket that is bound so that no other process can bind the port.

    Two sockets that both have SO_REUSEADDR can be bound to one port on Linux as long as neither
    listens. So this one doesn't have it while the model is loaded. On macOS, addresses that are
    equal can't be shared in any case.

    Raises:
        PortTakenError: Another process has the port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.bind(address)
        except OSError:
            # Closed connections of an earlier server may be all that holds the port.
            _reuse_address(listener, on=True)
            listener.bind(address)
            _reuse_address(listener, on=False)
    except OSError as error:
        raise _port_taken(settings, error) from error
    return listener


def _listen(listener: socket.socket, settings: EngineSettings) -> None:
    # The connections inherit it: closed ones must not keep the next server from the port.
    _reuse_address(listener, on=True)
    try:
        listener.listen()
    except OSError as error:
        raise _port_taken(settings, error) from error


def _reuse_address(listener: socket.socket, *, on: bool) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, on)


def _port_taken(settings: EngineSettings, error: OSError) -> PortTakenError:
    return PortTakenError(
        f"can't listen on {settings.host} port {settings.port}: {error.strerror}. "
        f"Choose another with --port or {PORT_VARIABLE}."
    )


@contextmanager
def _killable() -> Iterator[None]:
    """Let signals end the process at once while the wheel loads a model.

    The wheel holds the GIL meanwhile, so a Python handler would run only afterwards. The
    first process of a container has to wait for that: the kernel ignores its default actions.
    """
    if os.getpid() == 1:
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in _STOP_SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Raise SystemExit, so that a running download ends pip and removes its files."""
    sys.exit(0)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    """Raise SystemExit with the exit code of a process that the signal ended."""
    sys.exit(_SIGNAL_EXIT_CODES + number)


if __name__ == "__main__":
    main()
