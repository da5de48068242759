"""The log contains no text from prompts or replies, and nothing can forge a line in it."""

import json
import logging
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.values import MIB
from proxy_service.telemetry.logs import JSONFormatter
from tests.processes import free_port
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import (
    DONE,
    MODEL,
    Received,
    Reply,
    Script,
    ScriptedEngine,
    Step,
    completion,
    delta_event,
    event,
    json_reply,
    stream,
    words,
)

CANARY = "canary-7f3a"
FORGERY = f'{CANARY}\r\n{{"event":"forged"}}\x1b[31m\u2028'
PROMPT = [{"role": "user", "content": FORGERY}]

# Every field of a request that can hold a person's words, in valid and invalid requests.
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/api/chat", {"model": MODEL, "messages": PROMPT}),
    ("/api/chat", {"model": MODEL, "messages": PROMPT, "stream": False}),
    ("/api/chat", {"model": MODEL, "messages": [{"role": FORGERY, "content": FORGERY}]}),
    ("/api/chat", {"model": MODEL, "messages": PROMPT, "tools": [{"function": {"name": FORGERY}}]}),
    ("/api/chat", {"model": MODEL, "messages": PROMPT, "format": FORGERY}),
    ("/api/chat", {"model": MODEL, "messages": PROMPT, "format": {"title": FORGERY}}),
    ("/api/chat", {"model": MODEL, "messages": PROMPT, "think": FORGERY}),
    ("/api/chat", {"model": MODEL, "messages": PROMPT, "keep_alive": FORGERY}),
    ("/api/chat", {"model": MODEL, "messages": PROMPT, "options": {"stop": [FORGERY]}}),
    ("/api/chat", {"model": MODEL, "messages": PROMPT, "options": {"temperature": FORGERY}}),
    ("/api/chat", {"model": FORGERY, "messages": PROMPT}),
    ("/api/generate", {"model": MODEL, "prompt": FORGERY}),
    ("/api/generate", {"model": MODEL, "prompt": FORGERY, "system": FORGERY, "stream": False}),
    ("/api/generate", {"model": MODEL, "prompt": FORGERY, "raw": True}),
    ("/api/generate", {"model": MODEL, "prompt": FORGERY, "suffix": FORGERY}),
    ("/api/generate", {"model": MODEL, "prompt": FORGERY, "template": FORGERY}),
    ("/api/generate", {"model": MODEL, "prompt": FORGERY, "images": [FORGERY]}),
    ("/api/embed", {"model": MODEL, "input": [FORGERY]}),
    ("/api/embed", {"model": MODEL, "input": {FORGERY: FORGERY}}),
    ("/api/embeddings", {"model": MODEL, "prompt": FORGERY}),
    ("/api/show", {"model": FORGERY}),
    ("/api/pull", {"model": FORGERY}),
    ("/api/copy", {"source": FORGERY, "destination": FORGERY}),
    ("/api/create", {"model": FORGERY, "system": FORGERY}),
    ("/v1/chat/completions", {"model": MODEL, "messages": PROMPT}),
    ("/v1/chat/completions", {"model": MODEL, "messages": PROMPT, "stream": True}),
    ("/v1/completions", {"model": MODEL, "prompt": FORGERY}),
    ("/v1/embeddings", {"model": MODEL, "input": FORGERY}),
    ("/v1/responses", {"model": MODEL, "input": FORGERY}),
    ("/v1/messages", {"model": MODEL, "messages": PROMPT}),
]


def echo(request: Received) -> Reply:
    """Return the prompt as the reply."""
    return words(FORGERY) if request.json.get("stream") else completion(FORGERY)


def error_echo(request: Received) -> Reply:
    """Fail with words of the prompt, as templates and grammars do."""
    if request.json.get("stream"):
        failure = {"error": {"message": f"can't say {FORGERY}", "type": "server_error"}}
        return stream(delta_event("a"), event(failure), DONE)
    return json_reply({"message": f"can't say {FORGERY}"}, 500)


# What the engine does with a request; each reply has the words in it.
ENGINES: dict[str, Script] = {
    "replies": echo,
    "fails with the words": error_echo,
    "refuses with the words": lambda _: json_reply({"message": f"no: {FORGERY}"}, 422),
    "is something else": lambda _: json_reply({"message": f"no: {FORGERY}"}, 403),
    "sends text": lambda _: stream(delta_event("a"), f"data: {CANARY}\n\n".encode(), DONE),
    "sends another shape": lambda _: json_reply({"choices": [{"message": CANARY}]}),
    "breaks off": lambda _: stream(delta_event(FORGERY), Step.CUT),
    "resets": lambda _: stream(delta_event(FORGERY), Step.RESET),
    "names its finish": lambda _: words("a", finish=FORGERY),
}


class Lines(logging.Handler):
    """Collects every record of every logger, at every level, as its line."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(JSONFormatter())
        self._capsys = capsys
        self._lines: list[str] = []

    @property
    def lines(self) -> list[str]:
        """What was logged so far, and what was written to stdout without `logging`."""
        self._lines += self._capsys.readouterr().out.splitlines()
        return self._lines

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(("proxy_service", "sanic", "asyncio")):
            self._lines.append(self.format(record))


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Collect the log at the level debug."""
    root, lines = logging.getLogger(), Lines(capsys)
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(level)
    root.removeHandler(lines)


@pytest.mark.parametrize("script", ENGINES.values(), ids=ENGINES)
def test_no_word_of_a_request_or_a_reply_is_logged(log: Lines, script: Script) -> None:
    """With all endpoints and all kinds of failures, at the level debug."""
    with ScriptedEngine() as engine:
        for path in ("chat/completions", "completions", "embeddings", "responses", "messages"):
            engine.on(f"/v1/{path}", script)
        with RunningProxy(ProxySettings(engine_url=engine.url, max_body_bytes=MIB)) as proxy:
            for path, body in REQUESTS:
                proxy.http.post(path, json=body)
            finished = [line for line in log.lines if '"event":"request_finished"' in line]
            exposed = proxy.idle().families

    assert len(finished) >= len(REQUESTS)
    assert not [line for line in log.lines if CANARY in line]
    assert all(isinstance(json.loads(line), dict) and line.isascii() for line in log.lines)
    assert CANARY not in str(exposed)


def test_no_word_of_a_head_is_logged_except_a_valid_request_id(
    log: Lines, proxy: RunningProxy
) -> None:
    """Paths, queries, headers, keys and cookies can hold names and secrets, too."""
    for headers in (
        {"Authorization": f"Bearer {CANARY}"},
        {"Cookie": CANARY, "User-Agent": CANARY, "Referer": f"http://{CANARY}"},
        {"Host": f"{CANARY}.example"},
        {"Origin": f"http://{CANARY}.example"},
        {"X-Request-ID": f'{CANARY}","event":"forged'},
        {"Content-Encoding": CANARY},
    ):
        proxy.http.post(f"/api/{CANARY}?key={CANARY}", headers=headers, content=CANARY)
        proxy.http.post(f"/api/chat?key={CANARY}", headers=headers, content=CANARY)
    proxy.http.get("/api/tags", headers={"X-Request-ID": "mine-1"})

    assert eventually(lambda: any('"request_id":"mine-1"' in line for line in log.lines))
    assert not [line for line in log.lines if CANARY in line]


def test_no_word_of_a_malformed_request_is_logged(log: Lines, proxy: RunningProxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=10) as client:
        client.sendall(f"POST /{CANARY} HTTP/1.1\r\n{CANARY} : {CANARY}\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 400 ")

    assert eventually(lambda: any("request_finished" in line for line in log.lines))
    assert not [line for line in log.lines if CANARY in line]


def test_the_password_in_the_engines_url_is_shown_nowhere(log: Lines) -> None:
    settings = ProxySettings(engine_url=f"http://me:{CANARY}@127.0.0.1:{free_port()}")
    with RunningProxy(settings) as proxy:
        responses = [proxy.http.get(path) for path in ("/readyz", "/api/tags", "/v1/models")]

    assert {response.status_code for response in responses} == {503}
    assert not [response.text for response in responses if CANARY in response.text]
    assert eventually(lambda: any("engine_lost" in line or "503" in line for line in log.lines))
    assert not [line for line in log.lines if CANARY in line]


@pytest.mark.parametrize("name", ["a" * 1000, FORGERY])
def test_an_unknown_option_is_named_in_one_line_of_limited_length(
    log: Lines, proxy: RunningProxy, name: str
) -> None:
    """The only text of a request that is logged: a name, so that operators see typing errors."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "options": {name: 1}}
    proxy.http.post("/api/chat", json=body)
    (line,) = [line for line in log.lines if "unknown_option_ignored" in line]

    assert json.loads(line)["option"] == name[:64]
    assert line.isascii()
    assert not re.search(r"[\x00-\x1f\x7f]", line)
