"""A stand-in for the engine that does what a test says: replies, stalls, closes, resets.

It speaks just enough HTTP/1.1 on a real socket to stand in for Mistral.rs. A reply is a list
of steps. Each step of bytes is written on its own, so that a test can decide where the proxy's
reads are split: it puts an event between two steps, and sets it once the first one has arrived.
"""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

from tests.proxy.settling_loop import SettlingLoop

Body = dict[str, Any]

MODEL = "org/Tiny-Llama"
OTHER_MODEL = "Second"
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 18,
    "total_tokens": 29,
    "total_prompt_time_sec": 0.013,
    "total_completion_time_sec": 0.052,
}
CHAT_PATH = "/v1/chat/completions"


class Step(Enum):
    """A step that writes nothing."""

    STALL = "send nothing until the proxy closes the connection"
    RESET = "reset the TCP connection"
    CUT = "close the connection in the middle of the body"


Steps = tuple["bytes | Step | threading.Event", ...]


@dataclass(frozen=True)
class Reply:
    """One reply; `length` frames the body by its length, otherwise by chunked coding.

    With `raw`, only the steps are sent: no head, no framing.
    """

    steps: Steps
    status: int = 200
    content_type: str = "application/json"
    length: bool = False
    bare_close: bool = False
    raw: bool = False


@dataclass
class Received:
    """One request as it arrived.

    `gone` is set once the proxy has closed the connection, `silent` once the engine stalls or
    waits for an event. Until then it has sent `sent` bytes on this connection, which the proxy
    opened at its `port`.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    gone: threading.Event = field(default_factory=threading.Event)
    silent: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    sent: int = 0

    @property
    def json(self) -> Body:
        value: Body = json.loads(self.body)
        return value


Script = Reply | Callable[[Received], Reply]


def json_reply(value: object, status: int = 200) -> Reply:
    """Return a whole reply in JSON."""
    return Reply((json.dumps(value).encode(),), status=status, length=True)


def event(value: object) -> bytes:
    """Return one SSE event, framed as by Mistral.rs."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def delta_event(
    content: str | None = None,
    *,
    finish: str | None = None,
    usage: Body | None = None,
    **delta: object,
) -> bytes:
    """Return one event of a chat stream, in the format of the real server."""
    body = {
        "id": "3",
        "choices": [
            {
                "finish_reason": finish,
                "index": 0,
                "delta": {"content": content, "role": "assistant", "tool_calls": None} | delta,
                "logprobs": None,
            }
        ],
        "created": 1,
        "model": "pipeline",
        "object": "chat.completion.chunk",
        "usage": usage,
    }
    return event(body)


def stream(*steps: "bytes | Step | threading.Event", bare_close: bool = False) -> Reply:
    """Return an event stream."""
    return Reply(steps, content_type="text/event-stream", bare_close=bare_close)


def words(*texts: str, usage: Body | None = None, finish: str = "stop") -> Reply:
    """Return a complete stream of these texts; the last event has finish_reason and usage."""
    pieces = [delta_event(text) for text in texts]
    return stream(*pieces, delta_event("", finish=finish, usage=usage or USAGE), DONE)


def completion(content: str | None = "Hello", *, finish: str = "stop", **message: object) -> Reply:
    """Return a whole chat completion."""
    choice = {
        "index": 0,
        "finish_reason": finish,
        "message": {"role": "assistant", "content": content} | message,
        "logprobs": None,
    }
    return json_reply({"id": "1", "object": "chat.completion", "choices": [choice], "usage": USAGE})


def default_chat(request: Received) -> Reply:
    """Reply "Hello world", as a stream if the request asks for one."""
    if request.json.get("stream"):
        return words("Hello", " world")
    return completion("Hello world")


def default_completions(request: Received) -> Reply:
    """Reply to a raw prompt; the stream has no usage, as with the real server."""
    if request.json.get("stream"):
        piece = {"choices": [{"text": "raw text", "index": 0, "finish_reason": "stop"}]}
        return stream(event(piece), DONE)
    choice = {"text": "raw text", "index": 0, "finish_reason": "stop", "logprobs": None}
    return json_reply({"object": "text_completion", "choices": [choice], "usage": USAGE})


def default_embeddings(request: Received) -> Reply:
    """Reply with one vector per input, which holds its position; sent in reverse order."""
    # The proxy passes on whatever a client sends to /v1.
    inputs = request.json.get("input")
    inputs = inputs if isinstance(inputs, list) else [inputs]
    data = [
        {"object": "embedding", "index": i, "embedding": [float(i + 1), 2.0] * 8}
        for i in range(len(inputs))
    ]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return json_reply({"object": "list", "data": data[::-1], "usage": usage})


class ScriptedEngine:
    """The server, in a thread of its own; a context manager."""

    def __init__(self, port: int = 0, *, host: str = "127.0.0.1") -> None:
        self.status_of = {MODEL: "loaded", OTHER_MODEL: "loaded"}
        self.received: list[Received] = []
        self._open: set[asyncio.StreamWriter] = set()
        self._scripts: dict[str, Script] = {
            CHAT_PATH: default_chat,
            "/v1/completions": default_completions,
            "/v1/embeddings": default_embeddings,
            "/v1/models": lambda _: self._models(),
            "/v1/models/reload": lambda request: self._set_status(request, "loaded"),
            "/v1/models/unload": lambda request: self._set_status(request, "unloaded"),
        }
        self._host = host
        self._listener = socket.create_server((host, port))
        # Small steps are sent at once. Accepted sockets inherit this option.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._listener.getsockname()[1]
        self._loop = SettlingLoop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}"

    @property
    def open_connections(self) -> int:
        """The number of open connections."""
        return len(self._open)

    def on(self, path: str, script: Script) -> None:
        """Reply to `path` this way from now on."""
        self._scripts[path] = script

    def chat(self, script: Script) -> None:
        """Reply to chat completions this way from now on."""
        self.on(CHAT_PATH, script)

    def calls(self, path: str = CHAT_PATH) -> list[Received]:
        """Return the requests for `path` so far."""
        return [request for request in self.received if request.path == path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop: abort open connections and refuse new ones."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, sock=self._listener)
        )
        self._loop.run_forever()
        # Stop accepting, but serve what was accepted: if the server closed in between, such a
        # connection would stay open.
        self._loop.remove_reader(self._listener)
        self._loop.run_until_complete(self._loop.settle())
        server.close()
        for writer in self._open:
            writer.transport.abort()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(self._loop.settle())
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        port, sent = writer.get_extra_info("peername")[1], 0
        try:
            while (request := await _read(reader)) is not None:
                request.port, request.sent = port, sent
                self.received.append(request)
                script = self._scripts.get(request.path, json_reply({"message": "none"}, 404))
                reply = script(request) if callable(script) else script
                if not await _answer(request, reply, reader, writer):
                    break
                sent = request.sent
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # closed by the proxy, or stopped by the test
        finally:
            writer.close()
            self._open.discard(writer)

    def _models(self) -> Reply:
        entries = [{"id": "default", "object": "model", "created": 1700000000, "owned_by": "local"}]
        entries += [
            {"id": name, "object": "model", "created": 1700000000, "status": status}
            for name, status in self.status_of.items()
        ]
        return json_reply({"object": "list", "data": entries})

    def _set_status(self, request: Received, status: str) -> Reply:
        model_id = request.json["model_id"]
        self.status_of[model_id] = status
        return json_reply({"model_id": model_id, "status": status})


async def _read(reader: asyncio.StreamReader) -> Received | None:
    line = await reader.readline()
    if not line:
        return None
    method, path, _ = line.decode().split(" ")
    headers: dict[str, str] = {}
    while (header := (await reader.readline()).decode().strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)


async def _answer(
    request: Received, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Play the steps; return whether the connection can be reused."""
    if not reply.raw:
        _write(writer, request, _head(reply))
    watcher = asyncio.create_task(_watch(reader, request))
    for step in reply.steps:
        if isinstance(step, bytes):
            framed = step if reply.length or reply.bare_close or reply.raw else _framed(step)
            _write(writer, request, framed)
            await writer.drain()
        elif isinstance(step, threading.Event):
            request.silent.set()
            await _set_elsewhere(step)
        elif step is Step.STALL:
            request.silent.set()
            await watcher
            return False
        else:
            _break(writer, reset=step is Step.RESET)
            return False
    if reply.bare_close or reply.raw:
        return False
    if not reply.length:
        _write(writer, request, b"0\r\n\r\n")
        await writer.drain()
    # Nothing of the next request is lost: the proxy sends it once this reply is complete.
    watcher.cancel()
    await asyncio.wait([watcher])
    return not request.gone.is_set()


def _write(writer: asyncio.StreamWriter, request: Received, data: bytes) -> None:
    writer.write(data)
    request.sent += len(data)


def _head(reply: Reply) -> bytes:
    framing = "Transfer-Encoding: chunked"
    if reply.bare_close:
        framing = "Connection: close"
    elif reply.length:
        framing = f"Content-Length: {sum(len(s) for s in reply.steps if isinstance(s, bytes))}"
    return (
        f"HTTP/1.1 {reply.status} Scripted\r\nContent-Type: {reply.content_type}\r\n"
        f"Access-Control-Allow-Origin: *\r\n{framing}\r\n\r\n"
    ).encode()


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


async def _watch(reader: asyncio.StreamReader, request: Received) -> None:
    try:
        if not await reader.read(1):
            request.gone.set()
    except ConnectionError:
        request.gone.set()


def _break(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()


async def _set_elsewhere(event: threading.Event) -> None:
    """Wait for an event that another thread sets, in a thread that ends with it."""
    loop, seen = asyncio.get_running_loop(), asyncio.Event()

    def wait() -> None:
        event.wait()
        with suppress(RuntimeError):  # the engine was stopped before
            loop.call_soon_threadsafe(seen.set)

    threading.Thread(target=wait, daemon=True).start()
    await seen.wait()
