"""`python -m proxy_service` as a process: settings, its port, signals, the health check."""

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from proxy_service.__main__ import CANNOT_LISTEN, allow_descriptors
from proxy_service.server.listening import listen
from proxy_service.settings.values import BindAddress
from tests.processes import (
    ROOT,
    TIMEOUT_SECONDS,
    answers,
    free_port,
    start_process,
)
from tests.proxy.running import eventually, serving
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    USAGE,
    Reply,
    ScriptedEngine,
    Step,
    completion,
    delta_event,
    stream,
)

STREAMED = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "x"}],
    "stream": True,
}


def run(module: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the proxy until it exits."""
    return subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_with_exit_code_0(
    engine: ScriptedEngine, number: signal.Signals
) -> None:
    port = free_port()
    with serving(port, engine.url) as process:
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text == "Ollama is running"
        assert process.stop(number) == 0


@pytest.mark.parametrize(
    ("path", "ends", "last"),
    [
        ("/api/chat", True, b'"done":true'),
        ("/api/chat", False, b'{"error":"the server is shutting down; try again in a moment"}\n'),
        ("/v1/chat/completions", True, b"data: [DONE]\n\n"),
        ("/v1/chat/completions", False, b'data: {"error":{"message":"the server is shutting down'),
    ],
)
def test_a_running_stream_gets_the_grace_and_no_more(
    engine: ScriptedEngine, path: str, last: bytes, *, ends: bool
) -> None:
    """It may finish, or else ends with an error. The exit code is 0 either way."""
    go_on = threading.Event()
    end = (go_on, delta_event("", finish="stop", usage=USAGE), DONE)
    engine.chat(stream(delta_event("a"), *(end if ends else (Step.STALL,))))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        serving(port, engine.url, SHUTDOWN_GRACE="20" if ends else "0.5") as process,
        httpx.stream("POST", url + path, json=STREAMED, trust_env=False, timeout=30) as response,
    ):
        parts = response.iter_bytes()
        next(parts)
        process.popen.send_signal(signal.SIGTERM)
        assert eventually(lambda: not answers(f"{url}/livez"))
        go_on.set()
        assert last in b"".join(parts)
        assert process.wait() == 0
        assert process.output().count('"event":"request_finished"') == 1
        assert ('"error_type":"shutting_down"' in process.output()) is not ends


def ask_whole(url: str) -> httpx.Response:
    body = STREAMED | {"stream": False}
    return httpx.post(f"{url}/api/chat", json=body, trust_env=False, timeout=TIMEOUT_SECONDS)


def shows(url: str, line: str) -> bool:
    """Wait until the proxy's metrics have a line; return whether they do."""
    return eventually(lambda: line in httpx.get(f"{url}/metrics", trust_env=False).text)


def test_a_queued_request_gets_a_503_at_once_when_the_proxy_stops(engine: ScriptedEngine) -> None:
    """The one with the slot may still finish."""
    go_on = threading.Event()
    engine.chat(Reply((go_on, *completion("a").steps)))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"SHUTDOWN_GRACE": "60", "MAX_CONCURRENT_REQUESTS": "1"}
    with serving(port, engine.url, **settings) as process, ThreadPoolExecutor(2) as pool:
        running = pool.submit(ask_whole, url)
        assert shows(url, "mistral_running_requests 1.0")
        queued = pool.submit(ask_whole, url)
        assert shows(url, "mistral_queued_requests 1.0")
        process.popen.send_signal(signal.SIGTERM)

        assert queued.result().status_code == 503
        assert not running.done()
        go_on.set()
        assert running.result().status_code == 200
        assert process.wait() == 0


def test_a_request_without_a_response_gets_a_503_after_the_grace(engine: ScriptedEngine) -> None:
    """Nothing of it has been sent, so the status still can be."""
    engine.chat(stream(Step.STALL))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        serving(port, engine.url, SHUTDOWN_GRACE="0.5") as process,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(ask_whole, url)
        assert shows(url, "mistral_running_requests 1.0")
        process.popen.send_signal(signal.SIGTERM)

        assert running.result().status_code == 503
        assert process.wait() == 0


@pytest.mark.parametrize("streamed", [True, False])
def test_a_response_sent_while_stopping_closes_its_connection(
    engine: ScriptedEngine, *, streamed: bool
) -> None:
    """Its head says so, so that no client sends another request on it."""
    go_on = threading.Event()
    last = delta_event("a", finish="stop", usage=USAGE)
    engine.chat(stream(go_on, last, DONE) if streamed else Reply((go_on, *completion("a").steps)))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serving(port, engine.url, SHUTDOWN_GRACE="20") as process, ThreadPoolExecutor(1) as pool:
        body = STREAMED | {"stream": streamed}
        asking = pool.submit(httpx.post, f"{url}/api/chat", json=body, timeout=30, trust_env=False)
        assert eventually(lambda: len(engine.calls()) == 1)
        process.popen.send_signal(signal.SIGTERM)
        assert eventually(lambda: not answers(f"{url}/livez"))
        go_on.set()
        assert asking.result().headers["connection"] == "close"
        assert process.wait() == 0


@contextmanager
def open_files(limit: int) -> Iterator[None]:
    """Set the soft limit of open files, of this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("most", "allowed"), [(1 << 20, 65_536), (10_240, 10_240), (300, 256)])
def test_it_starts_with_as_many_open_files_as_the_system_allows(
    most: int, allowed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some systems, such as macOS, refuse more than they support under any hard limit."""
    limit = [256]

    def set_limit(_kind: int, limits: tuple[int, int]) -> None:
        if limits[0] > most:
            raise ValueError("current limit exceeds maximum limit")
        limit[0] = limits[0]

    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", set_limit)

    allow_descriptors()

    assert limit == [allowed]


def test_a_thousand_clients_at_once_all_get_their_reply(engine: ScriptedEngine) -> None:
    """More than run at once, so that some of them wait. Nothing is left of them."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    body = json.dumps(STREAMED).encode()
    head = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    sent = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    # The clients' sockets and the engine's are this process's own.
    with open_files(4096), serving(port, engine.url) as process, ExitStack() as ends:
        clients = [
            ends.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS))
            for _ in range(1000)
        ]
        for client in clients:
            client.sendall(sent)
        assert answers(f"{url}/livez")
        replies = [client.makefile("rb").read() for client in clients]
        ends.close()
        text = httpx.get(f"{url}/metrics", trust_env=False).text
        assert process.stop() == 0

    assert sum(b'"done":true' in reply for reply in replies) == 1000
    assert 'mistral_http_requests_total{endpoint="chat",status="success"} 1000.0' in text
    assert "mistral_active_requests 0.0" in text
    assert "mistral_running_requests 0.0" in text


def test_a_low_limit_of_open_files_is_raised(engine: ScriptedEngine) -> None:
    """As far as the system allows: each client needs two files, one for the engine."""
    port = free_port()
    with open_files(256), serving(port, engine.url):
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text

    (allowed,) = re.findall(r"^process_max_fds (\S+)$", text, re.MULTILINE)
    assert float(allowed) > 256


def test_every_line_of_the_log_is_json_and_none_holds_the_prompt(engine: ScriptedEngine) -> None:
    port = free_port()
    with serving(port, engine.url) as process:
        body = {"model": "org/Tiny-Llama", "prompt": "a secret", "stream": False}
        httpx.post(f"http://127.0.0.1:{port}/api/generate", json=body, trust_env=False)
        process.stop()
        log = process.output()

    lines = log.splitlines()
    assert any('"event":"request_finished"' in line for line in lines)
    assert all(line.startswith("{") and line.endswith("}") for line in lines)
    assert "secret" not in log


def test_a_taken_port_is_one_line_that_names_the_port_and_the_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("proxy_service", BIND_ADDRESS=f"127.0.0.1:{port}")

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert str(port) in result.stderr
    assert "BIND_ADDRESS" in result.stderr
    assert result.stdout == ""


def test_a_port_is_taken_as_soon_as_the_proxy_has_it() -> None:
    """A socket that is only bound isn't enough: another one could still listen on the port."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with listen(BindAddress("127.0.0.1", port)):
            with pytest.raises(OSError, match="in use"):
                other.listen()
            with pytest.raises(OSError, match="in use"):
                listen(BindAddress("127.0.0.1", port))


@pytest.mark.parametrize("attempt", range(3))
def test_only_one_of_two_proxies_started_at_once_on_one_port_keeps_running(
    engine: ScriptedEngine, attempt: int
) -> None:
    """The other one exits with the reason, regardless of which was first."""
    del attempt
    port = free_port()
    env = {"BIND_ADDRESS": f"127.0.0.1:{port}", "MISTRAL_URL": engine.url}
    with (
        start_process(["-m", "proxy_service"], env=env) as one,
        start_process(["-m", "proxy_service"], env=env) as two,
    ):
        both = [one, two]
        assert eventually(
            lambda: any(process.popen.poll() is not None for process in both),
            seconds=TIMEOUT_SECONDS,
        )
        loser, winner = sorted(both, key=lambda process: process.popen.poll() is None)
        winner.wait_until(lambda: answers(f"http://127.0.0.1:{port}/livez"), what="ready")
        assert loser.wait() == CANNOT_LISTEN
        assert f"port {port} on 127.0.0.1 is taken" in loser.output()
        assert winner.stop() == 0


def test_bad_settings_are_one_error_that_names_all_of_them() -> None:
    result = run("proxy_service", BIND_ADDRESS="nowhere", MISTRAL_URL="ftp://x", LOG_LEVEL="loud")

    assert result.returncode == 2
    for name in ("BIND_ADDRESS", "MISTRAL_URL", "LOG_LEVEL"):
        assert name in result.stderr
    assert "Traceback" not in result.stderr


def test_the_health_check_fails_for_a_stopped_proxy_only(engine: ScriptedEngine) -> None:
    port = free_port()
    with serving(port, engine.url):
        public = {"BIND_ADDRESS": f"0.0.0.0:{port}", "API_KEY": "0123456789abcdef"}
        alive = run("proxy_service.healthcheck", **public)
    dead = run("proxy_service.healthcheck", BIND_ADDRESS=f"127.0.0.1:{port}")

    assert alive.returncode == 0
    assert dead.returncode == 1


def test_a_public_address_without_a_key_is_refused_before_anything_listens() -> None:
    port = free_port()
    result = run("proxy_service", BIND_ADDRESS=f"0.0.0.0:{port}")

    assert result.returncode == 2
    assert "API_KEY_FILE" in result.stderr
    assert "ALLOW_UNAUTHENTICATED=true" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_key_in_a_file_is_used_and_shown_nowhere(
    engine: ScriptedEngine, tmp_path: Path
) -> None:
    """Neither in the log nor in the environment of the process."""
    key, file = "a-key-for-this-test", tmp_path / "key"
    file.write_text(key, encoding="utf-8")
    port = free_port()
    public = {"BIND_ADDRESS": f"0.0.0.0:{port}", "API_KEY_FILE": str(file), "LOG_LEVEL": "debug"}
    url = f"http://127.0.0.1:{port}/api/tags"
    with serving(port, engine.url, **public) as process:
        refused = httpx.get(url, headers={"Authorization": "Bearer wrong"}, trust_env=False)
        accepted = httpx.get(url, headers={"Authorization": f"Bearer {key}"}, trust_env=False)
        environment = Path(f"/proc/{process.popen.pid}/environ").read_bytes()
        process.stop()
        log = process.output()

    assert (refused.status_code, accepted.status_code) == (401, 200)
    assert key not in log
    assert key.encode() not in environment
