"""Signals that arrive while the proxy is still starting."""

import subprocess
import sys

import pytest

from tests.processes import DEADLINE_SECONDS

# The last listener of the start sends the signal: the proxy already answers requests, but Sanic
# isn't yet where a stop of the event loop ends the serving.
SIGNAL_AT_START = """
import os, signal, socket, sys
from proxy_service.app import create_app
from proxy_service.clock import SystemClock
from proxy_service.engines.client import HttpEngine
from proxy_service.server.connection import ClientConnection
from proxy_service.settings.schema import ProxySettings
from proxy_service.telemetry.metrics import ProxyMetrics

async def send_signal(app):
    os.kill(os.getpid(), signal.Signals[sys.argv[1]])

settings = ProxySettings.from_environ({"MISTRAL_URL": "http://127.0.0.1:9"})
metrics, clock = ProxyMetrics(), SystemClock()
engine = HttpEngine(settings, metrics, clock)
app = create_app(settings, engine=engine, metrics=metrics, clock=clock)
app.after_server_start(send_signal)
listener = socket.create_server(("127.0.0.1", 0))
app.run(sock=listener, protocol=ClientConnection, single_process=True, motd=False, access_log=False)
print("stopped")
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_during_the_start_stops_the_proxy(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SIGNAL_AT_START, name],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )

    assert (result.returncode, result.stdout) == (0, "stopped\n"), result.stderr
