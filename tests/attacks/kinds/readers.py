"""Attacks by clients that read slowly, disconnect, or come in crowds."""

import asyncio

from tests.attacks.attack import attack
from tests.attacks.kinds.bodies import generation
from tests.attacks.sender import NOT_AT_ALL, Connection, Reading, Sender

_SLOWLY = Reading(at_once=64, pause_seconds=1.0)
_BYTE_BY_BYTE = Reading(at_once=1, pause_seconds=1.0)
_LONG = {"num_predict": 4000}


def _streams(sender: Sender) -> bytes:
    return sender.post("/api/chat", generation(sender, options=_LONG))


def _whole(sender: Sender, tokens: int) -> bytes:
    body = generation(
        sender, model=sender.target.bulk_model, stream=False, options={"num_predict": tokens}
    )
    return sender.post("/api/chat", body)


@attack("a client that reads slowly slows down its own generation", takes_slots=True)
async def slow_readers(sender: Sender) -> None:
    """512 long streams that are read at 64 bytes per second."""
    data = _streams(sender)

    async def send(connection: Connection) -> None:
        await connection.send(data)

    await sender.hold(send, connections=512, reading=_SLOWLY)


@attack("a client that reads slowly slows down its own generation")
async def readers_of_a_byte_per_second(sender: Sender) -> None:
    """100 streams of lines and 100 of events, which are read at one byte per second."""
    lines = _streams(sender)
    events = sender.post(
        "/v1/chat/completions", generation(sender, stream=True, max_tokens=_LONG["num_predict"])
    )

    async def send(connection: Connection) -> None:
        await connection.send(lines)

    async def send_v1(connection: Connection) -> None:
        await connection.send(events)

    async with asyncio.TaskGroup() as group:
        for play in (send, send_v1):
            group.create_task(sender.hold(play, connections=100, reading=_BYTE_BY_BYTE))


@attack("whole responses above 8 KiB that clients haven't read")
async def unread_whole_responses(sender: Sender) -> None:
    """512 clients that ask for a whole response of 1 MB and don't read it."""
    data = _whole(sender, 200_000)

    async def send(connection: Connection) -> None:
        await connection.send(data)

    await sender.hold(send, connections=512, reading=NOT_AT_ALL, per_second=50)


@attack("whole responses above 8 KiB that clients haven't read")
async def whole_responses_read_slowly(sender: Sender) -> None:
    """100 clients that ask for a whole response of 10 MB and read 64 bytes per second."""
    data = _whole(sender, 2_000_000)

    async def send(connection: Connection) -> None:
        await connection.send(data)

    await sender.hold(send, connections=100, reading=_SLOWLY, per_second=10)


@attack("the queue", expects=(503,), takes_slots=True)
async def full_queue(sender: Sender) -> None:
    """1,500 clients that chat at the same time, more than run and wait at once."""
    data = sender.post("/api/chat", generation(sender, options={"num_predict": 100}))
    await sender.ask(data, connections=1500, per_second=300)


@attack("a client that disconnects leaves the queue", takes_slots=True)
async def disconnects_in_the_queue(sender: Sender) -> None:
    """1,024 clients at a time that disconnect after three seconds, most of them in the queue."""
    data = _streams(sender)

    async def send(connection: Connection) -> None:
        await connection.send(data)
        await asyncio.sleep(3)

    await sender.visit(send, connections=1024)


@attack("a client that disconnects ends its generation")
async def disconnects_before_the_first_token(sender: Sender) -> None:
    """Clients that disconnect 20 ms after their request, 200 per second."""
    data = _streams(sender)

    async def send(connection: Connection) -> None:
        await connection.send(data)
        await asyncio.sleep(0.02)

    await sender.visit(send, connections=200, per_second=200)


@attack("a client that disconnects ends its generation", expects=(200,))
async def disconnects_within_the_stream(sender: Sender) -> None:
    """Clients that disconnect at the first token, 200 per second."""
    data = _streams(sender)

    async def send(connection: Connection) -> None:
        await connection.send(data)
        await connection.begun()

    await sender.visit(send, connections=200, per_second=200)


@attack("a client that disconnects releases its body")
async def disconnects_within_the_body(sender: Sender) -> None:
    """Clients that disconnect after half of a body of 1 MB, 50 per second."""
    data = sender.begun_body("/api/chat", 1_000_000) + b"x" * 500_000

    async def send(connection: Connection) -> None:
        await connection.send(data)
        await asyncio.sleep(0.1)

    await sender.visit(send, connections=50, per_second=50)
