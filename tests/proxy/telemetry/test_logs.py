"""The log, as JSON and as text: what a line holds, and that nothing else can write one."""

import json
import logging
import math
import re
import sys

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.telemetry.logs import JSONFormatter, TextFormatter, write_event
from tests.processes import RunningProcess, free_port
from tests.proxy.json_values import VALUES
from tests.proxy.running import eventually, serving
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
    json_reply,
    stream,
    words,
)

CANARY = "canary-7f3a"
FORGERY = f"{CANARY}\r\n12:00:00  chat  forged  200\x1b[31m\u2028\u202e"
TIME = re.compile(r"\d\d:\d\d:\d\d  (?=\S)")
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}


def record(
    event: str, *, logger: str = "proxy_service.test", level: int = logging.INFO, **fields: object
) -> logging.LogRecord:
    """Return a record like those of the proxy's modules."""
    made = logging.LogRecord(logger, level, "", 0, event, (), None)
    made.fields = fields
    return made


@given(st.dictionaries(st.text(st.characters(), min_size=1, max_size=9), VALUES, max_size=4))
def test_nothing_in_an_event_can_forge_a_line_of_json(fields: dict[str, object]) -> None:
    record = logging.LogRecord("name", logging.INFO, "", 0, "event", (), None)
    record.fields = fields

    line = JSONFormatter().format(record)

    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert set(json.loads(line)) >= {name for name, value in fields.items() if value is not None}


def test_an_event_written_at_once_is_the_line_that_logging_writes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("tests.events")
    handler = logging.StreamHandler(stream=None)
    fields = {"text": "é", "none": None, "number": math.pi, "other": ValueError("x")}
    record = logger.makeRecord(
        logger.name, logging.WARNING, "", 0, "event", (), None, extra={"fields": fields}
    )
    handler.setFormatter(JSONFormatter())

    write_event(logger, logging.WARNING, "event", fields)

    at_once = json.loads(capsys.readouterr().out)
    by_logging = json.loads(handler.format(record))
    assert at_once.pop("time").endswith("Z")
    by_logging.pop("time")
    assert at_once == by_logging


def test_an_event_below_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("tests.events")
    logger.setLevel(logging.WARNING)

    write_event(logger, logging.INFO, "event", {})

    assert capsys.readouterr().out == ""


def without_time(line: str) -> str:
    """Return a line without the time at its beginning."""
    found = TIME.match(line)
    assert found, line
    return line[found.end() :]


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (record("engine_ready"), "engine ready"),
        (
            record("engine_lost", level=logging.WARNING, reason="it can't be reached"),
            "warning: engine lost: it can't be reached",
        ),
        (
            record("unload_failed", level=logging.WARNING, model="m", reason="HTTP 500"),
            "warning: unload failed: HTTP 500 (model m)",
        ),
        (
            record("unauthorized", level=logging.WARNING, method="GET", path=None),
            "warning: unauthorized (method GET)",
        ),
        (record("Stop all_tasks", logger="sanic.root"), "Stop all_tasks"),
    ],
    ids=lambda value: value.getMessage() if isinstance(value, logging.LogRecord) else "",
)
def test_an_event_is_one_short_line(event: logging.LogRecord, line: str) -> None:
    assert without_time(TextFormatter().format(event)) == line


TEXTS = st.text(st.characters()) | st.just(FORGERY)


@given(event=TEXTS, reason=TEXTS, value=TEXTS)
def test_no_text_begins_a_second_line(event: str, reason: str, value: str) -> None:
    line = TextFormatter().format(record(event, reason=reason, model=value))

    assert line.isprintable()


def fail(text: str) -> None:
    raise ValueError(text)


@given(TEXTS)
def test_a_traceback_is_complete_and_each_of_its_lines_is_marked(text: str) -> None:
    """An exception's text may hold words of a request."""
    failed = record("internal_error", level=logging.ERROR)
    try:
        fail(text)
    except ValueError:
        failed.exc_info = sys.exc_info()

    first, *traceback = TextFormatter().format(failed).split("\n")

    assert without_time(first) == "error: internal error"
    assert traceback[0] == "    | Traceback (most recent call last):"
    assert any("raise ValueError(text)" in line for line in traceback)
    assert any(line.startswith("    | ValueError") for line in traceback)
    assert all(line.startswith("    | ") and line.isprintable() for line in traceback)


def lines_of(process: RunningProcess) -> list[str]:
    """Stop the proxy and return what it wrote, without the times."""
    assert process.stop() == 0
    return [without_time(line) for line in process.output().splitlines()]


def test_a_person_reads_one_line_per_request(engine: ScriptedEngine) -> None:
    """Endpoint, model, status, seconds, and then the tokens or what went wrong."""
    seen = [
        rf"chat  {MODEL}  200  \d\.\d\d s  18 tokens",
        r"tags  200  \d\.\d\d s",
        r"chat  unknown  404  \d\.\d\d s  model_not_found",
        rf"chat  {MODEL}  error  \d\.\d\d s  the connection to the engine broke .*",
        rf"chat  {MODEL}  cancelled  \d\.\d\d s",
    ]
    port = free_port()
    with (
        serving(port, engine.url, LOG_FORMAT="text") as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        client.post("/api/chat", json=CHAT | {"stream": False})
        client.get("/api/tags")
        client.post("/api/chat", json=CHAT | {"model": "no-such"})
        engine.chat(stream(delta_event("a"), Step.CUT))
        client.post("/api/chat", json=CHAT)
        engine.chat(stream(delta_event("a"), Step.STALL))
        with client.stream("POST", "/api/chat", json=CHAT) as response:
            parts = response.iter_bytes()
            next(parts)
        assert eventually(lambda: "cancelled" in process.output())
        requests = [line for line in lines_of(process) if line != "engine ready"]

    assert [bool(re.fullmatch(*pair)) for pair in zip(seen, requests, strict=True)] == [True] * 5


def echo(request: Received) -> Reply:
    """Return the prompt as the reply."""
    return words(FORGERY) if request.json.get("stream") else completion(FORGERY)


@pytest.mark.parametrize(
    "reply",
    [
        echo,
        lambda _: json_reply({"message": FORGERY}, 500),
        lambda _: stream(delta_event("a"), f"data: {CANARY}\n\n".encode(), DONE),
    ],
    ids=["echoes", "fails", "breaks"],
)
def test_nothing_of_a_request_is_in_the_text_log(engine: ScriptedEngine, reply: Script) -> None:
    """At the level debug, with prompts, names and heads that try to forge lines."""
    engine.chat(reply)
    said = [{"role": "user", "content": FORGERY}]
    port = free_port()
    with (
        serving(port, engine.url, LOG_FORMAT="text", LOG_LEVEL="debug") as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        for stream_it in (True, False):
            for name in (MODEL, FORGERY):
                body = {"model": name, "messages": said, "stream": stream_it}
                client.post("/api/chat", json=body, headers={"X-Request-ID": CANARY + '"'})
        lines = lines_of(process)

    assert sum(line.startswith("chat  ") for line in lines) == 4
    assert CANARY not in "".join(lines)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_engine_that_has_yet_to_start_is_not_warned_about(log_format: str) -> None:
    """Its model is loading. Only its loss and its return are logged as warnings."""
    port, engine_port = free_port(), free_port()
    probing = {"LOG_FORMAT": log_format, "ENGINE_PROBE_INTERVAL": "0.05"}
    ready, lost = (
        ("engine ready", "engine lost")
        if log_format == "text"
        else ('"event":"engine_ready"', '"event":"engine_lost"')
    )

    with serving(port, f"http://127.0.0.1:{engine_port}", **probing) as process:
        assert not httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
        with ScriptedEngine(engine_port):
            process.wait_until(lambda: ready in process.output(), what="ready")
            assert "warning" not in process.output()
        process.wait_until(lambda: lost in process.output(), what="without its engine")
        with ScriptedEngine(engine_port):
            process.wait_until(lambda: process.output().count(ready) == 2, what="ready again")
            log = process.output()

    assert [("warning" in line, ready in line) for line in log.splitlines()] == [
        (False, True),
        (True, False),
        (True, True),
    ]
