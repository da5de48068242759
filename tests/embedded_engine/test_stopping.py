"""Signals that arrive while the server is still starting."""

import subprocess
import sys

import pytest

from tests.processes import TIMEOUT_SECONDS

# The last listener of the start sends the signal: the server already answers requests, but Sanic
# isn't yet where a stop of the event loop ends the serving.
SIGNAL_AT_START = """
import os, signal, socket, sys
from sanic import Sanic
from embedded_engine.stopping import stop_on_signals

async def send_signal(app):
    os.kill(os.getpid(), signal.Signals[sys.argv[1]])

app = Sanic("embedded_engine", configure_logging=False)
app.add_route(lambda request: None, "/", name="none")
app.register_listener(stop_on_signals, "after_server_start")
app.register_listener(send_signal, "after_server_start")
listener = socket.create_server(("127.0.0.1", 0))
app.run(sock=listener, single_process=True, motd=False, access_log=False)
print("stopped")
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_during_the_start_stops_the_server(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SIGNAL_AT_START, name],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )

    assert (result.returncode, result.stdout) == (0, "stopped\n"), result.stderr
