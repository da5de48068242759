"""Accepts connections as fast as they come."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from proxy_service.server.connection import ClientConnection

# Connections that are accepted at once; each takes some 50 µs.
_AT_ONCE: Final = 256
# Seconds since the connection before, after which no other one is taken to wait.
_RECENT_SECONDS: Final = 0.02


class Accepting:
    """Makes the connections of a server, and accepts further ones that wait.

    uvloop accepts one connection in each round of its loop. While thousands of others are busy, a
    round takes milliseconds. Then someone who opens many connections would make a new client wait
    for seconds.

    Args:
        listener: The server's socket.
        kind: What makes a connection of Sanic's arguments.
    """

    def __init__(
        self,
        listener: socket.socket,
        kind: Callable[..., asyncio.BaseProtocol] = ClientConnection,
    ) -> None:
        listener.settimeout(0)
        self._listener = listener
        self._kind = kind
        self._last = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()  # the loop keeps only weak references

    def __call__(self, **parts: Any) -> asyncio.BaseProtocol:  # noqa: ANN401  Sanic's
        """Return the connection that uvloop has accepted; ``parts`` are Sanic's."""
        make = partial(self._kind, **parts)
        now = asyncio.get_running_loop().time()
        if now - self._last < _RECENT_SECONDS:
            self._accept_more(make)
        self._last = now
        return make()

    def _accept_more(self, make: Callable[[], asyncio.BaseProtocol]) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = self._listener.accept()
            except OSError:  # none waits, or there are too many open files
                break
            accepted.settimeout(0)
            task = loop.create_task(loop.connect_accepted_socket(make, accepted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
