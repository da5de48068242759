"""Attacks with many connections, and with many requests on one."""

from tests.attacks.attack import attack
from tests.attacks.kinds.bodies import generation
from tests.attacks.sender import NOT_AT_ALL, Connection, Sender

_PIPELINED = 16


async def _nothing(_connection: Connection) -> None:
    pass


@attack("open connections (`MAX_CONNECTIONS`)")
async def idle_connections(sender: Sender) -> None:
    """4,000 connections that send nothing."""
    await sender.hold(_nothing, connections=4000, per_second=1000)


@attack("open connections (`MAX_CONNECTIONS`)")
async def more_idle_connections_than_allowed(sender: Sender) -> None:
    """6,000 connections that send nothing, and are opened again when the proxy closes them."""
    await sender.hold(_nothing, connections=6000, per_second=1000)


@attack("open connections (`MAX_CONNECTIONS`)")
async def opened_and_closed(sender: Sender) -> None:
    """1,000 connections per second, aborted at once or after half a head."""

    async def send(connection: Connection) -> None:
        await connection.send(b"GET / HT")

    await sender.visit(send, connections=200, per_second=500)


@attack("CLIENT_KEEP_ALIVE", expects=(200,))
async def kept_after_a_request(sender: Sender) -> None:
    """4,000 connections that send one request and stay open."""
    data = sender.http("GET", "/api/version")

    async def send(connection: Connection) -> None:
        await connection.send(data)

    await sender.hold(send, connections=4000, per_second=1000)


@attack("one exposition for all that wait", expects=(200,))
async def pipelined_scrapes(sender: Sender) -> None:
    """1,000 connections, each with 16 pipelined requests for the metrics."""
    data = sender.http("GET", "/metrics") * _PIPELINED
    await sender.ask(data, connections=1000, per_second=200, requests=_PIPELINED)


@attack("whole responses above 8 KiB that clients haven't read")
async def unread_scrapes(sender: Sender) -> None:
    """4,200 connections with 16 pipelined requests for the metrics each, which read nothing."""
    data = sender.http("GET", "/metrics") * _PIPELINED

    async def send(connection: Connection) -> None:
        await connection.send(data, _PIPELINED)

    await sender.hold(send, connections=4200, reading=NOT_AT_ALL)


@attack("pipelined requests on a connection")
async def complete_heads_behind_a_slow_request(sender: Sender) -> None:
    """400 connections with 15 complete heads of 31 KiB each behind a request that takes long."""
    filler = "".join(f"x-{number}: {'a' * 480}\r\n" for number in range(62))
    later = sender.http("GET", "/api/version", headers=filler)
    data = sender.post("/api/chat", generation(sender, options={"num_predict": 4000})) + later * 15

    async def send(connection: Connection) -> None:
        await connection.send(data, _PIPELINED)

    await sender.hold(send, connections=400)


@attack("all other bodies")
async def complete_bodies_behind_a_slow_request(sender: Sender) -> None:
    """200 connections with 15 bodies of 500 KiB each behind a request that takes long."""
    slow = sender.post("/api/chat", generation(sender, options={"num_predict": 4000}))
    data = slow + sender.post("/api/show", b" " * 512_000) * 15

    async def send(connection: Connection) -> None:
        await connection.send(data, _PIPELINED)

    await sender.hold(send, connections=200)


@attack("pipelined requests on a connection", expects=(400,))
async def more_pipelined_than_allowed(sender: Sender) -> None:
    """100 connections with 200 pipelined requests each."""
    data = sender.http("GET", "/api/version") * 200

    async def send(connection: Connection) -> None:
        await connection.send(data, 200)

    await sender.hold(send, connections=100, per_second=200)


@attack("a request's line and headers", expects=(400,))
async def invalid_after_valid(sender: Sender) -> None:
    """Pipelined requests of which every fourth is malformed."""
    valid = sender.http("GET", "/api/version")
    data = valid * 3 + b"GET / HTTP/1.1\r\nno colon\r\n\r\n" + valid

    async def send(connection: Connection) -> None:
        await connection.send(data, 4)
        await connection.end()

    await sender.visit(send, connections=64)
