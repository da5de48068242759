"""The demo as a user meets it: real processes, a real (tiny) model, real signals."""

import contextlib
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops.checkout import ROOT
from ops.clients import web
from ops.clients.proxy import WITHOUT_KEYS
from ops.demo.waiting import QUESTION
from ops.processes.ports import LOOPBACK, Port, free_port, port_problems
from tests.tiny_llama import make_tiny_llama

# A run is killed after this time, so that a demo that hangs fails the test.
HANGING_SECONDS = 300
VARIABLES = ("ENGINE_PORT", "PROXY_PORT", "PROMETHEUS_PORT")


@dataclass
class Demo:
    """A running demo and what it has printed so far."""

    process: subprocess.Popen[str]
    ports: Mapping[str, int]
    environ: Mapping[str, str]
    lines: list[str] = field(default_factory=list)

    def read_until(self, text: str) -> None:
        """Read until a line has ``text``; fail when the demo ends without one."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return
        pytest.fail(f"the demo ended without printing {text!r}:\n{self.printed}")

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


@contextmanager
def demo(
    folder: Path,
    model: Path,
    *,
    key_file: str = "",
    command: Sequence[str] = ("-m", "ops.demo"),
    **taken: int,
) -> Iterator[Demo]:
    """Run the demo, or another ``command`` of this Python, on free ports and those in ``taken``."""
    ports = {name: free_port(LOOPBACK) for name in VARIABLES} | taken
    own = {name: str(port) for name, port in ports.items()}
    environ = {**os.environ, **own, "DEMO_DIR": str(folder), "MODEL": str(model)}
    environ |= WITHOUT_KEYS | {"API_KEY_FILE": key_file}
    with subprocess.Popen(
        [sys.executable, *command],
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
    """Run the script that the demo prints, in a shell with this key and this Python.

    Only the number of tokens is limited: random weights generate until their context is full.
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
    """With a key; without one everything works the same."""
    key = "0123456789abcdef"
    key_file = tmp_path / "key"
    key_file.write_text(f"{key}\n", encoding="utf-8")
    metrics_key_file = tmp_path / "proxy-metrics-key"
    metrics_key_file.touch(mode=0o666)  # from an earlier demo
    with demo(tmp_path, model, key_file=str(key_file)) as running:
        running.read_until("The demo is ready")
        assert stat.S_IMODE(metrics_key_file.stat().st_mode) == 0o600
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
        running.read_until("  generate  ")
        request = r"proxy +\| \d\d:\d\d:\d\d  generate  \S+  200  [0-9.]+ s"
        assert re.match(request, running.lines[-1])

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


def test_a_model_that_does_not_exist_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with demo(tmp_path, tmp_path / "no-model") as running:
        assert running.wait() == 1

        assert re.search(r"^embedded engine: .*no-model", running.printed, re.MULTILINE)
        assert "error: the model can't be served; the line above says why" in running.printed
        assert running.group_ids == []


def test_an_engine_that_ends_by_itself_ends_the_demo_with_its_reason(
    tmp_path: Path, model: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    for weights in broken.glob("*.safetensors"):
        weights.write_bytes(b"")

    with demo(tmp_path, broken) as running:
        assert running.wait() == 1

        assert re.search(r"^engine +\| embedded engine: ", running.printed, re.MULTILINE)
        assert "error: engine ended with exit code" in running.printed
        running.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_while_the_model_is_fetched_starts_nothing(
    tmp_path: Path, model: Path, number: signal.Signals
) -> None:
    """Even if the process that fetches it exits with code 0."""
    signals = "{signal.SIGINT, signal.SIGTERM}"
    fetching = (
        f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signals}); "
        f"print('fetching', flush=True); signal.sigwait({signals})"
    )
    script = (
        "import sys; from ops.demo import command; "
        f"command.FETCH_MODEL = (sys.executable, '-c', {fetching!r}); "
        "sys.exit(command.main())"
    )
    with demo(tmp_path, model, command=("-c", script)) as running:
        running.read_until("fetching")
        running.process.send_signal(number)

        assert running.wait() == 0, running.printed
        assert "The demo has stopped." in running.printed
        assert running.group_ids == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_stop_in_the_first_moments_is_clean(
    tmp_path: Path, model: Path, number: signal.Signals
) -> None:
    with demo(tmp_path, model) as running:
        running.read_until("engine started")
        running.process.send_signal(number)

        assert running.wait() == 0, running.printed
        running.assert_nothing_is_left()


def test_a_closed_output_stops_the_demo_at_its_next_line(tmp_path: Path, model: Path) -> None:
    with demo(tmp_path, model) as running:
        running.read_until("The demo is ready")
        assert running.process.stdout
        running.process.stdout.close()
        # Makes the proxy log a line, unless another line has stopped the demo already.
        with contextlib.suppress(web.UnreachableError):
            web.get(f"http://127.0.0.1:{running.ports['PROXY_PORT']}/api/tags")

        assert running.process.wait() == 0
        running.assert_nothing_is_left()


def test_a_taken_port_is_reported_before_anything_starts(tmp_path: Path, model: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        with demo(tmp_path, model, PROXY_PORT=port) as running:
            assert running.wait() == 1
            assert running.group_ids == []
            assert f"port {port} (the proxy) is taken" in running.printed
