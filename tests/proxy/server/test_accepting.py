"""How many connections are accepted at once."""

import asyncio
import socket

from proxy_service.server.accepting import Accepting
from tests.proxy.running import TIMEOUT_SECONDS

CLIENTS = 100


class Connection(asyncio.Protocol):
    """A connection that counts how many there are."""

    def __init__(self, *, made: list["Connection"], all_made: asyncio.Event) -> None:
        self.transport: asyncio.BaseTransport
        self._made, self._all_made = made, all_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._made.append(self)
        if len(self._made) == CLIENTS:
            self._all_made.set()


async def accepted_by_two_calls() -> int:
    """Return how many of many waiting connections are accepted when the server makes two."""
    made: list[Connection] = []
    all_made = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=CLIENTS) as listener:
        clients = [socket.create_connection(listener.getsockname()) for _ in range(CLIENTS)]
        accepting = Accepting(listener, Connection)
        for _ in range(2):
            accepting(made=made, all_made=all_made)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await all_made.wait()
    for connection in made:
        connection.transport.close()
    for client in clients:
        client.close()
    return len(made)


def test_everyone_who_waits_is_accepted_with_the_next_connection() -> None:
    assert asyncio.run(accepted_by_two_calls()) == CLIENTS
