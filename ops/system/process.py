"""Processes of a command's own: their output goes to files, their end is certain."""

import errno
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ops.services import web
from ops.system.console import ROOT, OperatorError
from ops.system.polling import Poller
from ops.system.prometheus_install import one_command

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 10.0
LAST_LINES: Final = 5

#: Below what Linux (from 32768) and macOS (from 49152) choose from.
_PORTS: Final = range(20_000, 32_000)


class Process:
    """A started process.

    It has a session of its own, so that Ctrl-C reaches the command alone, which then ends it.

    Args:
        command: Program and arguments; runs in the checkout.
        log: Takes its output.
        environ: Added to this process's environment.
    """

    def __init__(self, command: Sequence[str], log: Path, environ: Mapping[str, str]) -> None:
        self._name = log.stem
        self._log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603 (commands of this package)
                command,
                cwd=ROOT,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_ready(self, url: str) -> None:
        """Wait until ``url`` answers 200; ends the process and raises OperatorError otherwise."""
        ready = Poller().until(
            lambda: web.is_ready(url),
            lambda answers: answers or self._popen.poll() is not None,
            timeout=START_SECONDS,
        )
        if not ready:
            self.end()
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            last = "\n".join(lines[-LAST_LINES:])
            raise OperatorError(f"{self._name} did not start; it said:\n{last}")

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End it at once, without a chance to tidy up."""
        self._popen.kill()
        self._popen.wait()

    def end(self) -> None:
        """End it: politely, then surely."""
        self._popen.terminate()
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


def free_port(address: str) -> int:
    """Give a TCP port of an address of this machine that nothing listens on now.

    Not one of those that systems give to whoever asks for any: what dies must find its port free
    when it comes back.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port
    raise OperatorError(f"no port of {address} from {_PORTS[0]} to {_PORTS[-1]} is free")


def prometheus_binary() -> str:
    """Give the path of Prometheus. Raises OperatorError when it is not on PATH."""
    binary = shutil.which("prometheus")
    if binary is None:
        raise OperatorError(f"Prometheus is not on PATH: {one_command()}")
    return binary


def start_prometheus(folder: Path, config: str, target: str) -> Process:
    """Start a Prometheus, without waiting for it.

    Args:
        folder: Takes its configuration (``prometheus.yml``), its data and its log.
        config: Text of the configuration.
        target: ``host:port`` to listen on.
    """
    file = folder / "prometheus.yml"
    file.write_text(config, encoding="utf-8")
    command = [
        prometheus_binary(),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={target}",
        "--log.level=warn",
    ]
    return Process(command, folder / "prometheus.log", {})
