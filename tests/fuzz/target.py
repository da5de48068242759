"""The proxy and the scripted engine as a fuzzer's target, and what must hold for any input."""

import gc
import json
import logging
from types import TracebackType
from typing import Self

import httpx

from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.values import MIB
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import MODEL, Reply, ScriptedEngine, words

_OURS = ("proxy_service", "sanic", "asyncio", "_asyncio", "httptools", "uvloop")
# Logs each request; the fuzzers don't need that.
_REQUEST_LOG = logging.getLogger("proxy_service.requests")
# The engine has its own messages, but no responses, so that those are translated.
_GENERATING = ("chat/completions", "completions", "embeddings", "messages")


class Faults(logging.Handler):
    """Collects the log records that report a fault of the proxy."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.name.startswith(("proxy_service", "sanic", "asyncio"))
        if ours and (record.exc_info or record.levelno >= logging.ERROR):
            self.seen.append(logging.Formatter().format(record))


class FuzzTarget:
    """A running proxy; use it as a context manager."""

    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        settings = ProxySettings(
            engine_url=self.engine.url, max_body_bytes=MIB, engine_silence_timeout_seconds=5
        )
        self.proxy = RunningProxy(settings)
        self.faults = Faults()
        self.sent = 0

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self.faults)
        _REQUEST_LOG.setLevel(logging.ERROR)
        self.engine.__enter__()
        self.proxy.__enter__()
        assert eventually(lambda: self.proxy.http.get("/readyz").status_code == 200)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.proxy.__exit__(kind, error, trace)
        self.engine.__exit__(kind, error, trace)
        logging.getLogger().removeHandler(self.faults)
        _REQUEST_LOG.setLevel(logging.NOTSET)

    def answer_with(self, reply: Reply) -> None:
        """Make the engine send this reply to every generation."""
        for path in _GENERATING:
            self.engine.on(f"/v1/{path}", reply)

    def send(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Send one request, and check the response, the log, and that the proxy is still up."""
        self.sent += 1
        self.engine.received.clear()
        self.engine.status_of = dict.fromkeys(self.engine.status_of, "loaded")
        check(path, self.proxy.http.post(path, content=body, headers=headers))
        faults, self.faults.seen = self.faults.seen, []
        assert not faults, faults
        assert self.proxy.http.get("/livez").status_code == 200

    def at_rest(self) -> int:
        """Return the number of the proxy's objects and series when no request is running."""
        series = len(self.proxy.idle().samples)
        gc.collect()
        modules = (str(type(thing).__module__) for thing in gc.get_objects())
        return series + sum(name.startswith(_OURS) for name in modules)

    def still_serves(self) -> bool:
        """Return whether a valid request gets a complete response."""
        self.answer_with(words("a"))
        body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
        return '"done":true' in self.proxy.http.post("/api/chat", json=body).text


def check(path: str, response: httpx.Response) -> None:
    """Check that a response is well-formed, and not an internal error."""
    assert "internal error" not in response.text, response.text
    if not path.startswith("/api/"):
        return
    kind = response.headers.get("content-type", "")
    if kind == "application/x-ndjson":
        assert response.text.endswith("\n")
        for line in response.text[:-1].split("\n"):
            assert isinstance(strictly(line), dict), line
    elif kind.startswith("application/json"):
        strictly(response.text)


def strictly(text: str) -> object:
    """Decode JSON, and fail on values that aren't standard JSON."""

    def refuse(name: str) -> object:
        raise AssertionError(f"{name} isn't JSON")

    return json.loads(text, parse_constant=refuse)
