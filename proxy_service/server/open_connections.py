"""How many connections may be open, and which one is closed when there are too many. No I/O."""

from typing import Protocol


class Connection(Protocol):
    """One client's connection."""

    def abort(self) -> None:
        """Close the connection at once, and discard what its client hasn't read."""


class OpenConnections:
    """Counts the open connections, and knows which of them wait for a request.

    Whoever opens connections and sends nothing, or half a request, must not lock others out.
    So a new connection replaces the one that has waited longest, and is refused only if none waits.
    """

    __slots__ = ("_count", "_limit", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._waiting: dict[Connection, None] = {}  # the one that has waited longest comes first

    def admit(self, connection: Connection) -> bool:
        """Count a new connection, which waits for a request; return False if it is refused."""
        if self._count >= self._limit:
            oldest = next(iter(self._waiting), None)
            if oldest is None:
                return False
            self._waiting.pop(oldest)
            oldest.abort()
        self._count += 1
        self._waiting[connection] = None
        return True

    def answering(self, connection: Connection) -> None:
        """Record that a request of this connection is being answered."""
        self._waiting.pop(connection, None)

    def waiting(self, connection: Connection) -> None:
        """Record that this connection waits for a request, or for the rest of one."""
        self._waiting[connection] = None

    def closed(self, connection: Connection) -> None:
        """Record that an admitted connection is closed."""
        self._waiting.pop(connection, None)
        self._count -= 1
