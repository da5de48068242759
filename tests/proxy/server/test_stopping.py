"""Signals that arrive while the proxy is still starting."""

import os
import subprocess
import sys

import pytest

from tests.processes import TIMEOUT_SECONDS, free_port

# The last listener of the start sends the signal: the proxy already answers requests, but Sanic
# isn't yet where a stop of the event loop ends the serving.
SIGNAL_AT_START = """
import os, signal, sys
from proxy_service import __main__ as program

async def send_signal(app):
    os.kill(os.getpid(), signal.Signals[sys.argv[1]])

def create_app(*arguments, **keywords):
    app = create_real_app(*arguments, **keywords)
    app.register_listener(send_signal, "after_server_start", priority=-1)
    return app

create_real_app, program.create_app = program.create_app, create_app
sys.exit(program.main())
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_during_the_start_stops_the_proxy(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SIGNAL_AT_START, name],
        env=os.environ | {"BIND_ADDRESS": f"127.0.0.1:{free_port()}"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )

    assert result.returncode == 0, result.stderr
