"""What the proxy relies on in Sanic (docs/adr/0011), checked on Sanic's own classes.

A new version of Sanic that changes one of these fails here, by name.
"""

# ruff: noqa: SLF001  Much of what the proxy relies on is private in Sanic.

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sanic
from sanic import Sanic
from sanic.compat import Header
from sanic.exceptions import MethodNotAllowed, NotFound
from sanic.server.protocols.base_protocol import SanicProtocol

from proxy_service.server.connection import ClientConnection

ADR = Path(__file__).parents[3] / "docs" / "adr" / "0011-a-protocol-of-our-own.md"
PROTOCOL = {
    "attributes": ("app", "loop", "transport", "connections", "conn_info", "_can_write", "_task"),
    "methods": (
        *("connection_made", "connection_lost", "pause_writing", "resume_writing"),
        *("close", "abort"),
    ),
}
OVERRIDDEN = {
    "connection_made",
    "connection_lost",
    "data_received",
    "eof_received",
    "resume_writing",
}


def changed(what: str) -> str:
    """Return the message of a failed test."""
    return f"Sanic {sanic.__version__} changed {what}; see docs/adr/0011 and ClientConnection"


class RecordedTransport(asyncio.Transport):
    """A transport that notes what is asked of it; ``unsent`` bytes stay in its buffer."""

    def __init__(self, unsent: int = 0) -> None:
        super().__init__()
        self.calls: list[str] = []
        self._unsent = unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        del high, low

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def is_closing(self) -> bool:
        return bool(self.calls)

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")


App = Sanic[Any, Any]
Protocol = Any  # Sanic's protocol has no types


@pytest.fixture
def app() -> App:
    Sanic.test_mode = True  # lets several applications have one name
    return Sanic("sanic_surface", configure_logging=False)


@pytest.fixture
async def protocol(app: App) -> Protocol:
    return SanicProtocol(loop=asyncio.get_running_loop(), app=app, connections=set(), state={})


@pytest.mark.parametrize("name", [*PROTOCOL["attributes"], *PROTOCOL["methods"]])
async def test_the_base_protocol_has(protocol: Protocol, name: str) -> None:
    assert hasattr(protocol, name), changed(f"SanicProtocol.{name}")


@pytest.mark.parametrize("name", ClientConnection.__slots__)
async def test_no_attribute_of_ours_is_one_of_sanics(protocol: Protocol, name: str) -> None:
    assert not hasattr(protocol, name), changed(f"SanicProtocol.{name}, which is ours")


def test_only_callbacks_of_the_loop_are_overridden() -> None:
    ours = {name for name in vars(ClientConnection) if not name.startswith("__")}
    shared = ours & set(dir(SanicProtocol))

    assert shared == OVERRIDDEN, changed(f"SanicProtocol: {shared ^ OVERRIDDEN}")


async def test_connection_made_registers_the_connection(protocol: Protocol) -> None:
    transport = RecordedTransport()
    protocol.connection_made(transport)

    assert protocol.transport is transport, changed("SanicProtocol.transport")
    assert protocol.connections == {protocol}, changed("SanicProtocol.connections")


async def test_can_write_is_cleared_while_the_buffer_is_full(protocol: Protocol) -> None:
    seen = [protocol._can_write.is_set()]
    for callback in (protocol.pause_writing, protocol.resume_writing):
        callback()
        seen.append(protocol._can_write.is_set())

    assert seen == [True, False, True], changed("SanicProtocol._can_write")


async def test_connection_lost_cancels_the_task_and_wakes_writers(protocol: Protocol) -> None:
    protocol.connection_made(RecordedTransport())
    protocol.pause_writing()
    task = protocol._task = asyncio.create_task(asyncio.Event().wait())
    protocol.connection_lost(None)
    await asyncio.wait([task])

    assert task.cancelled(), changed("SanicProtocol._task")
    assert protocol._can_write.is_set(), changed("SanicProtocol._can_write")
    assert protocol.connections == set(), changed("SanicProtocol.connections")
    assert protocol.conn_info.lost, changed("SanicProtocol.conn_info")


async def test_close_ends_in_an_abort_when_the_client_takes_nothing(
    app: App, protocol: Protocol
) -> None:
    """After `GRACEFUL_TCP_CLOSE_TIMEOUT`, which is a setting of Sanic's."""
    app.config.GRACEFUL_TCP_CLOSE_TIMEOUT = 0.01
    transport = RecordedTransport(unsent=1)
    protocol.connection_made(transport)
    protocol.close()
    async with asyncio.timeout(10):
        while transport.calls != ["close", "abort"]:  # noqa: ASYNC110  Sanic polls, too
            await asyncio.sleep(0)

    assert protocol.transport is None, changed("SanicProtocol.abort")


async def handler(request: object) -> None:
    """Do nothing; this handler is never called."""


@pytest.fixture
def routed(app: App) -> App:
    app.add_route(handler, "/blobs/<digest:str>", methods=["HEAD"])
    app.router.finalize()
    return app


def test_the_router_returns_a_handler_and_its_parameters(routed: App) -> None:
    _, *found = routed.router.get("/blobs/x", "HEAD", None)

    assert found == [handler, {"digest": "x"}], changed("Router.get")


@pytest.mark.parametrize(
    ("path", "method", "error"), [("/blobs/x", "POST", MethodNotAllowed), ("/", "HEAD", NotFound)]
)
def test_the_router_raises_where_there_is_no_handler(
    routed: App, path: str, method: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        routed.router.get(path, method, None)


def test_headers_are_found_in_any_case_and_all_of_them() -> None:
    headers = Header([("Host", "a"), ("HOST", "b")])

    assert headers.get("host") == "a", changed("Header.get")
    assert headers.getall("host", ()) == ["a", "b"], changed("Header.getall")
    assert headers.getall("expect", ()) == (), changed("Header.getall")


# A connection waits in the socket; once it is accepted, the process gets its signal.
STOPPING = """
import asyncio, json, os, signal, socket
from sanic import Sanic
from sanic.server.protocols.base_protocol import SanicProtocol

seen = []
connected = asyncio.Event()

class Connection(SanicProtocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        connected.set()

    def close_if_idle(self):
        seen.append("close_if_idle")

    def abort(self):
        seen.append("abort")
        super().abort()

async def kill():
    await connected.wait()
    while not app.state.is_running:  # a signal before that may be lost
        await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)

async def started(app):
    app.ctx.task = asyncio.create_task(kill())

async def before(app):
    seen.append("before_server_stop")

async def after(app):
    seen.append("after_server_stop")

app = Sanic("stopping", configure_logging=False)
app.config.GRACEFUL_SHUTDOWN_TIMEOUT = 0.1
app.add_route(lambda request: None, "/", name="none")
app.after_server_start(started)
app.before_server_stop(before)
app.after_server_stop(after)
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
app.run(sock=listener, protocol=Connection, single_process=True, motd=False, access_log=False)
print(json.dumps(seen))
"""


def test_a_stop_closes_what_is_idle_then_waits_then_aborts() -> None:
    """The order that `ProxyApp` and `ClientConnection` rely on, at SIGTERM."""
    result = subprocess.run(
        [sys.executable, "-c", STOPPING], capture_output=True, text=True, timeout=60, check=False
    )
    order = ["before_server_stop", "close_if_idle", "abort", "after_server_stop"]

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == order, changed("the order of a graceful shutdown")


@pytest.mark.parametrize(
    "name",
    [
        *PROTOCOL["attributes"],
        *PROTOCOL["methods"],
        *("close_if_idle", "router.get", "before_server_start", "before_server_stop"),
        *("after_server_stop", "GRACEFUL_SHUTDOWN_TIMEOUT", "GRACEFUL_TCP_CLOSE_TIMEOUT"),
    ],
)
def test_the_decision_record_lists(name: str) -> None:
    assert f"`{name}`" in ADR.read_text(encoding="utf-8")
