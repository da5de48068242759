"""The demo as a user meets it: real processes, a real (tiny) model, real signals."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops.demo.session import QUESTION
from ops.services import web
from ops.services.proxy_api import WITHOUT_KEYS
from ops.system.paths import ROOT
from ops.system.ports import Port, port_problems
from tests.tiny_llama import make_tiny_llama

HANGING_SECONDS = 120
"""After this a run is killed, so that a fault fails the test instead of blocking it."""
VARIABLES = ("ENGINE_PORT", "PROXY_PORT", "PROMETHEUS_PORT")


@dataclass
class Demo:
    """A running demo and what it has printed so far."""

    process: subprocess.Popen[str]
    ports: Mapping[str, int]
    environ: Mapping[str, str]
    lines: list[str] = field(default_factory=list)

    def read_until(self, text: str) -> None:
        """Read on until a line has ``text``; fails when the demo ends without one."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        pytest.fail(f"the demo ended without saying {text!r}:\n{self.printed}")

    def wait(self) -> int:
        """Read to the end and return the exit code."""
        assert self.process.stdout
        self.lines += self.process.stdout
        return self.process.wait()

    @property
    def printed(self) -> str:
        return "".join(self.lines)

    @property
    def group_ids(self) -> list[int]:
        """Process groups of the demo's processes; each has its own."""
        return [int(pid) for pid in re.findall(r"started \(pid=(\d+)\)", self.printed)]

    def pid_of(self, name: str) -> int:
        found = re.search(rf"{name} started \(pid=(\d+)\)", self.printed)
        assert found, self.printed
        return int(found[1])

    def assert_nothing_is_left(self) -> None:
        assert self.group_ids
        for group in self.group_ids:
            with pytest.raises(ProcessLookupError):
                os.killpg(group, 0)
        assert port_problems([Port(name, name, port) for name, port in self.ports.items()]) == []


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    numbers = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return numbers


@contextmanager
def demo(folder: Path, model: Path, *, key_file: str = "", **taken: int) -> Iterator[Demo]:
    ports = {**dict(zip(VARIABLES, free_ports(len(VARIABLES)), strict=True)), **taken}
    own = {name: str(port) for name, port in ports.items()}
    environ = {**os.environ, **own, "DEMO_DIR": str(folder), "MODEL": str(model)}
    environ |= WITHOUT_KEYS | {"API_KEY_FILE": key_file}
    with subprocess.Popen(
        [sys.executable, "-m", "ops.demo"],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        watchdog = threading.Timer(HANGING_SECONDS, process.kill)
        watchdog.start()
        try:
            yield Demo(process, ports, environ)
        finally:
            watchdog.cancel()
            if process.poll() is None:
                process.terminate()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("tiny-model"))


def run_as_shown(printed: str, key: str) -> subprocess.CompletedProcess[str]:
    """Run the script that the demo says to try, in a shell with this key and this Python.

    With one difference: random weights would go on to the end of their context.
    """
    (command,) = re.findall(r"pip install ollama; (.+)$", printed, re.MULTILINE)
    command = command.replace(f"'{QUESTION}'", f"'{QUESTION}', options={{'num_predict': 8}}")
    folder = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["sh", "-c", command],
        env={**os.environ, "PATH": folder, "API_KEY": key, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_chats_passes_its_own_verification_and_stops_cleanly(
    tmp_path: Path, model: Path
) -> None:
    """With a key, without which everything works alike."""
    key = "0123456789abcdef"
    key_file = tmp_path / "key"
    key_file.write_text(f"{key}\n", encoding="utf-8")
    with demo(tmp_path, model, key_file=str(key_file)) as running:
        running.read_until("The demo is ready")
        running.read_until("make verify")
        proxy = f"http://127.0.0.1:{running.ports['PROXY_PORT']}"
        assert f"Set API_KEY to a key from {key_file} and try:" in running.printed
        shown = '-H "Authorization: Bearer $API_KEY"'
        assert f"curl {shown} {proxy}/api/chat -d '" in running.printed
        assert f"{proxy}/metrics" in running.printed
        assert f"http://127.0.0.1:{running.ports['PROMETHEUS_PORT']}/graph?" in running.printed

        tried = run_as_shown(running.printed, key)
        assert tried.returncode == 0, tried.stderr
        assert tried.stdout

        verified = subprocess.run(
            [sys.executable, "-m", "ops.verify"],
            cwd=ROOT,
            env=running.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "Checking the running demo" in verified.stdout

        os.killpg(running.process.pid, signal.SIGINT)  # as a terminal does on Ctrl-C
        assert running.wait() == 0, running.printed
        assert "The demo has stopped." in running.printed
        running.assert_nothing_is_left()
    assert not (tmp_path / "urls.json").exists()


def test_one_process_dying_stops_the_others_and_is_named(tmp_path: Path, model: Path) -> None:
    with demo(tmp_path, model) as running:
        running.read_until("The demo is ready. Try:")
        running.read_until(f"curl http://127.0.0.1:{running.ports['PROXY_PORT']}/api/chat -d '")
        os.kill(running.pid_of("proxy"), signal.SIGKILL)

        assert running.wait() == 1
        assert "error: proxy was killed by SIGKILL, so the demo stopped" in running.printed
        running.assert_nothing_is_left()


def test_a_model_that_does_not_exist_ends_the_demo_with_the_engines_reason(tmp_path: Path) -> None:
    with demo(tmp_path, tmp_path / "no-model") as running:
        assert running.wait() == 1

        assert "no-model" in running.printed
        assert "error: engine ended with exit code" in running.printed
        running.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_in_the_first_moments_is_clean(
    tmp_path: Path, model: Path, number: signal.Signals
) -> None:
    with demo(tmp_path, model) as running:
        running.read_until("engine started")
        running.process.send_signal(number)

        assert running.wait() == 0, running.printed
        running.assert_nothing_is_left()


def test_a_reader_that_goes_away_leaves_nothing_behind(tmp_path: Path, model: Path) -> None:
    with demo(tmp_path, model) as running:
        running.read_until("The demo is ready")
        assert running.process.stdout
        running.process.stdout.close()
        web.get(f"http://127.0.0.1:{running.ports['PROXY_PORT']}/api/tags")  # logs a line

        running.process.wait()
        running.assert_nothing_is_left()


def test_a_taken_port_is_told_before_anything_starts(tmp_path: Path, model: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        with demo(tmp_path, model, PROXY_PORT=port) as running:
            assert running.wait() == 1
            assert running.group_ids == []
            assert f"port {port} (the proxy) is taken" in running.printed
