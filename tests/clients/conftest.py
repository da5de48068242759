"""A scripted engine, and the proxy as a process in the project's environment.

These tests run in a separate virtual environment (`make test-clients`), made from the
requirements.txt in this folder. In the project's environment they can't be imported, so they
aren't collected.
"""

import importlib.util
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import free_port
from tests.proxy.scripted_engine import ScriptedEngine

ROOT = Path(__file__).resolve().parents[2]
# Seconds: enough to start a Python process on a busy machine.
_START_SECONDS = 30.0

collect_ignore_glob = [] if importlib.util.find_spec("langchain_ollama") else ["test_*.py"]


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    with ScriptedEngine() as running:
        yield running


@pytest.fixture
def proxy_url(engine: ScriptedEngine) -> Iterator[str]:
    """Run the proxy and yield its base URL."""
    port = free_port()
    python = os.environ.get("PROJECT_PYTHON", str(ROOT / ".venv" / "bin" / "python"))
    process = subprocess.Popen(
        [python, "-m", "proxy_service"],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "BIND_ADDRESS": f"127.0.0.1:{port}",
            "MISTRAL_URL": engine.url,
            "LOG_LEVEL": "error",
        },
    )
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, "the proxy exited"
        assert time.monotonic() < deadline, "the proxy did not start"
