"""What all connections together may hold of requests and whole responses. No I/O.

A request that never completes costs its sender nearly nothing, nor does a response that nobody
reads. So what they may make the proxy hold is limited, and when the room runs out, the slowest
client gives way, not the next one to ask.
"""

from collections.abc import Callable

from proxy_service.clock import Clock
from proxy_service.errors import Overloaded

MIB = 1024 * 1024

# Bytes of unfinished heads. An ordinary head arrives with one read and is never counted.
UNFINISHED_HEADS_BYTES = 16 * MIB
# Bodies up to this size have a budget of their own, so that large ones can't lock them out: the
# longest conversation of a model with a context of 128,000 tokens fits in.
SMALL_BODY_BYTES = 1 * MIB
SMALL_BODIES_BYTES = 64 * MIB
# Whole responses above `LARGE_RESPONSE_BYTES` that their clients haven't read. Smaller ones are
# bounded by the number of connections.
UNREAD_RESPONSES_BYTES = 256 * MIB
LARGE_RESPONSE_BYTES = 64 * 1024
# An unfinished body or an unread response gives way to others if it has been under way for at least
# this many seconds, with fewer than this many bytes per second: less than any network over which
# large images are sent.
FAIR_SECONDS = 2.0
FAIR_BYTES_PER_SECOND = 256 * 1024


class HeadBudget:
    """The number of bytes that the unfinished heads of all connections together may use."""

    __slots__ = ("_left",)

    def __init__(self, limit_bytes: int = UNFINISHED_HEADS_BYTES) -> None:
        self._left = limit_bytes

    def reserve(self, size: int) -> None:
        """Reserve ``size`` bytes.

        Raises:
            Overloaded: Fewer are left.
        """
        if size > self._left:
            raise Overloaded("the unfinished heads of all requests together are too large")
        self._left -= size

    def release(self, size: int) -> None:
        """Release reserved bytes."""
        self._left += size


class Reservation:
    """What the body of one request, or one response, has reserved.

    Attributes:
        size: Bytes so far.
        finished: Whether the body is complete. A complete body doesn't give way.
        give_way: Fails the request or the response.
        room: Where it is reserved.
    """

    __slots__ = ("_began", "finished", "give_way", "room", "size")

    def __init__(self, room: "Room", give_way: Callable[[], None], began: float) -> None:
        self.size = 0
        self.finished = False
        self.give_way = give_way
        self.room = room
        self._began = began

    def slowness(self, now: float) -> float:
        """Return how many seconds each byte has taken, 0 if the body needn't give way."""
        elapsed = now - self._began
        if self.finished or elapsed < FAIR_SECONDS or self.size > elapsed * FAIR_BYTES_PER_SECOND:
            return 0.0
        return elapsed / (self.size + 1)

    def release(self) -> None:
        """Release all bytes. Calling it again does nothing."""
        self.room.remove(self)
        self.size = 0


class Room:
    """A number of bytes that is divided among reservations.

    Args:
        limit_bytes: That number.
        clock: The time, by which slow holders are found.
        full: What an error says when there isn't enough room.
    """

    __slots__ = ("_clock", "_full", "_holders", "_left")

    def __init__(self, limit_bytes: int, clock: Clock, full: str) -> None:
        self._left = limit_bytes
        self._clock = clock
        self._full = full
        self._holders: set[Reservation] = set()

    def open(self, give_way: Callable[[], None]) -> Reservation:
        """Return an empty reservation; ``give_way`` is described there."""
        return Reservation(self, give_way, self._clock.monotonic())

    def add(self, holder: Reservation, size: int) -> None:
        """Give ``size`` more bytes to a holder.

        Raises:
            Overloaded: There isn't enough room, even after slow holders have given way.
        """
        while size > self._left:
            now = self._clock.monotonic()
            others = self._holders - {holder}
            slowest = max(others, key=lambda other: other.slowness(now), default=None)
            if slowest is None or not slowest.slowness(now):
                raise Overloaded(self._full)
            slowest.give_way()
            slowest.release()
        self._left -= size
        self._holders.add(holder)

    def remove(self, holder: Reservation) -> None:
        """Take all bytes from a holder."""
        if holder in self._holders:
            self._holders.remove(holder)
            self._left += holder.size


class BodyBudget:
    """The number of bytes that the bodies of all connections together may use.

    Args:
        limit_bytes: Room for bodies above `SMALL_BODY_BYTES`.
        clock: The time, by which slow bodies are found.
        small_limit_bytes: Room for the other bodies.
    """

    __slots__ = ("_large", "_small")

    def __init__(
        self, limit_bytes: int, clock: Clock, *, small_limit_bytes: int = SMALL_BODIES_BYTES
    ) -> None:
        full = "the bodies of all pending requests together are too large"
        self._large = Room(limit_bytes, clock, full)
        self._small = Room(small_limit_bytes, clock, full)

    def open(self, give_way: Callable[[], None]) -> Reservation:
        """Return an empty reservation; ``give_way`` is described there."""
        return self._small.open(give_way)

    def grow(self, body: Reservation, size: int) -> None:
        """Reserve ``size`` more bytes for a body.

        Raises:
            Overloaded: See `Room.add`.
        """
        total = body.size + size
        if total <= SMALL_BODY_BYTES or body.room is self._large:
            body.room.add(body, size)
        else:
            self._large.add(body, total)
            self._small.remove(body)
            body.room = self._large
        body.size = total


def response_room(clock: Clock, limit_bytes: int = UNREAD_RESPONSES_BYTES) -> Room:
    """Return the room for the large responses of all connections."""
    return Room(limit_bytes, clock, "too many large responses wait for slow clients")
