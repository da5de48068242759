"""Attacks with the heads of requests. None of them needs a key."""

import itertools
import secrets

from tests.attacks.attack import attack
from tests.attacks.sender import Connection, Sender

_BEGUN = b"GET /api/tags HTTP/1.1\r\n"
_TLS_CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(32) + bytes(161)
_INVALID = (
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x00" * 512 + b"\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
)
HEADS = "heads that are unfinished, that wait behind an earlier request, or that are being answered"


@attack("a request's line and headers", expects=(431,))
async def fields_without_value(sender: Sender) -> None:
    """600 connections, each with a head of 16,200 fields that have no value."""
    data = _BEGUN + b"ab:\r\n" * 16_200

    async def send(connection: Connection) -> None:
        await connection.send(data)

    await sender.hold(send, connections=600)


@attack("a request's line and headers", expects=(431,))
async def one_endless_field(sender: Sender) -> None:
    """200 connections, each with one header of 64 KiB that doesn't end."""
    data = _BEGUN + b"x: " + b"a" * 65_536

    async def send(connection: Connection) -> None:
        await connection.send(data)

    await sender.hold(send, connections=200)


@attack("a request's line and headers", expects=(431, 400))
async def long_target(sender: Sender) -> None:
    """Targets of 64 KiB, with and without a query."""
    plain = sender.http("GET", "/" + "a" * 65_536, key="")
    query = sender.http("GET", "/api/tags?" + "a=b&" * 16_384, key="")
    await sender.each([plain, query], connections=32, per_second=300)


@attack(HEADS, expects=(503,))
async def unfinished_heads(sender: Sender) -> None:
    """1,000 connections, each with 31 KiB of a head that never ends."""
    data = _BEGUN + b"x: %b\r\n" % (b"a" * 500) * 62

    async def send(connection: Connection) -> None:
        await connection.send(data)

    await sender.hold(send, connections=1000)


@attack("CLIENT_REQUEST_TIMEOUT")
async def slow_heads(sender: Sender) -> None:
    """2,000 connections, each with a head that grows by one header every two seconds."""

    async def send(connection: Connection) -> None:
        await connection.send(_BEGUN)
        await connection.trickle(b"x: y\r\n", every_seconds=2)

    await sender.hold(send, connections=2000)


@attack("a request's line and headers", expects=(400,))
async def invalid_http(sender: Sender) -> None:
    """Ten sorts of bytes that aren't HTTP, or that two servers would read differently."""
    await sender.each(_INVALID, connections=64)


@attack("open connections (`MAX_CONNECTIONS`)")
async def tls_on_the_plain_port(sender: Sender) -> None:
    """500 connections with half of a TLS handshake, which are held."""

    async def send(connection: Connection) -> None:
        await connection.send(_TLS_CLIENT_HELLO)

    await sender.hold(send, connections=500)


@attack(HEADS, expects=(417,))
async def expectations(sender: Sender) -> None:
    """1,000 connections that wait for `100 Continue` and then send nothing, and unknown ones."""
    valid = sender.http(
        "POST", "/api/chat", headers="Expect: 100-continue\r\nContent-Length: 100\r\n"
    )
    unknown = sender.http("POST", "/api/chat", headers="Expect: 200-ok\r\nContent-Length: 1\r\n")
    data = itertools.cycle([valid, unknown])

    async def send(connection: Connection) -> None:
        await connection.send(next(data))

    await sender.hold(send, connections=1000)


@attack("a request's path", expects=(414,))
async def paths_of_slashes(sender: Sender) -> None:
    """Paths of 30,000 slashes, at the beginning, at the end, and between letters."""
    paths = ("/" * 30_000, "/api/chat" + "/" * 30_000, "/a" * 15_000)
    data = [sender.http("GET", path) for path in paths]
    await sender.each(data, connections=16, per_second=50)


@attack("no label or log line takes its values from clients", expects=(404, 405))
async def unknown_paths_and_methods(sender: Sender) -> None:
    """Every request for another path, by one of six methods, with a request id of its own."""
    methods = itertools.cycle(["GET", "POST", "PUT", "DELETE", "PATCH", "MKCOL"])

    async def send(connection: Connection) -> None:
        for _ in range(10):
            unknown = secrets.token_hex(64)
            line = f"X-Request-ID: {unknown}\r\n"
            await connection.send(
                sender.http(next(methods), f"/{unknown}%2e%2e/../x", headers=line)
            )
            await connection.answered()

    await sender.visit(send, connections=32, per_second=50)


@attack("cost of a request", expects=(200, 204))
async def heads_and_options(sender: Sender) -> None:
    """HEAD and OPTIONS for every sort of path."""
    preflight = (
        f"Origin: http://localhost:{sender.target.port}\r\nAccess-Control-Request-Method: POST\r\n"
    )
    requests = [sender.http("HEAD", path) for path in ("/", "/metrics", "/api/tags", "/livez")]
    requests += [
        sender.http("OPTIONS", path, headers=preflight, key="")
        for path in ("/api/chat", "/v1/models", "/nothing", "*")
    ]
    data = itertools.cycle(requests)

    async def send(connection: Connection) -> None:
        await connection.send(next(data))
        await connection.begun()

    await sender.visit(send, connections=64)
