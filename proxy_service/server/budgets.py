"""What all connections together may hold of requests and whole responses. No I/O.

A request that never completes costs its sender nearly nothing, nor does a response that nobody
reads. So what they may make the proxy hold is limited, and when the room runs out, the slowest
client gives way, not the next one to ask.
"""

from collections import defaultdict
from collections.abc import Callable
from operator import attrgetter

from proxy_service.clock import Clock
from proxy_service.errors import Overloaded

MIB = 1024 * 1024

# What a head takes in memory: its bytes twice, as they were sent and with names in lower case, and
# the objects of each field.
_COPIES_OF_HEAD = 2
_FIELD_BYTES = 256
# Bytes of memory that the heads of one connection may always take: a browser's, with a cookie of
# 4 KiB, takes less. So whoever sends large heads can't lock out those who don't.
ORDINARY_HEADS_BYTES = 16 * 1024
# Bytes of memory that all heads may take beyond that.
LARGE_HEADS_BYTES = 16 * MIB
# Bodies up to this size have a budget of their own, so that large ones can't lock them out: the
# longest conversation of a model with a context of 128,000 tokens fits in.
SMALL_BODY_BYTES = 1 * MIB
SMALL_BODIES_BYTES = 64 * MIB
# Whole responses above `LARGE_RESPONSE_BYTES` that their clients haven't read. Smaller ones are
# bounded by the number of connections.
UNREAD_RESPONSES_BYTES = 96 * MIB
LARGE_RESPONSE_BYTES = 8 * 1024
# An unfinished body or an unread response gives way to others if it has been under way for at least
# this many seconds, with fewer than this many bytes per second: less than any network over which
# large images are sent.
FAIR_SECONDS = 2.0
FAIR_BYTES_PER_SECOND = 256 * 1024


def head_cost(size: int, fields: int) -> int:
    """Return how many bytes of memory a head of ``size`` bytes with this many fields takes."""
    return _COPIES_OF_HEAD * size + _FIELD_BYTES * fields


class HeadBudget:
    """The memory that the heads of all connections together may take.

    A connection holds the heads of unfinished requests, of those that wait for the response to an
    earlier one, and of the one that is being answered.
    """

    __slots__ = ("_left",)

    def __init__(self, limit_bytes: int = LARGE_HEADS_BYTES) -> None:
        self._left = limit_bytes

    def resize(self, held: int, size: int) -> None:
        """Change what the heads of one connection take from ``held`` to ``size`` bytes.

        Raises:
            Overloaded: More than `ORDINARY_HEADS_BYTES`, and more than there is.
        """
        more = max(size, ORDINARY_HEADS_BYTES) - max(held, ORDINARY_HEADS_BYTES)
        if more > self._left:
            raise Overloaded("the heads of all requests together are too large")
        self._left -= more


class Reservation:
    """What the body of one request, or one response, has reserved.

    Attributes:
        size: Bytes so far.
        finished: Whether the body is complete. A complete body doesn't give way.
        sender: Whose it is; see `sender_of`.
        give_way: Fails the request or the response.
        room: Where it is reserved.
        began: When, in seconds of the monotonic clock.
    """

    __slots__ = ("began", "finished", "give_way", "room", "sender", "size")

    def __init__(
        self, room: "Room", sender: str, give_way: Callable[[], None], began: float
    ) -> None:
        self.size = 0
        self.finished = False
        self.sender = sender
        self.give_way = give_way
        self.room = room
        self.began = began

    def slowness(self, now: float) -> float:
        """Return how many seconds each byte has taken, 0 if the body needn't give way."""
        elapsed = now - self.began
        if self.finished or elapsed < FAIR_SECONDS or self.size > elapsed * FAIR_BYTES_PER_SECOND:
            return 0.0
        return elapsed / (self.size + 1)

    def release(self) -> None:
        """Release all bytes. Calling it again does nothing."""
        self.room.remove(self)


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

    def open(self, sender: str, give_way: Callable[[], None]) -> Reservation:
        """Return an empty reservation; the arguments are described there."""
        return Reservation(self, sender, give_way, self._clock.monotonic())

    def add(self, holder: Reservation, size: int) -> None:
        """Give ``size`` more bytes to a holder.

        Raises:
            Overloaded: There isn't enough room, even after others have given way.
        """
        while size > self._left:
            other = self._slowest(holder) or self._newest_of_largest_sender(holder, size)
            if other is None:
                raise Overloaded(self._full)
            other.give_way()
            other.release()
        self._left -= size
        self._holders.add(holder)
        holder.size += size

    def remove(self, holder: Reservation) -> None:
        """Take all bytes from a holder."""
        if holder in self._holders:
            self._holders.remove(holder)
            self._left += holder.size
            holder.size = 0

    def _slowest(self, holder: Reservation) -> Reservation | None:
        """Return the slowest of the others, None if all are quick enough."""
        now = self._clock.monotonic()
        others = self._holders - {holder}
        slowest = max(others, key=lambda other: other.slowness(now), default=None)
        return slowest if slowest is not None and slowest.slowness(now) else None

    def _newest_of_largest_sender(self, holder: Reservation, size: int) -> Reservation | None:
        """Return what the sender that holds most has begun last, if ``holder``'s would hold less.

        So one sender can't keep others out, however quick it is. Its only body stays: otherwise,
        many senders would keep each other from completing one.
        """
        held: defaultdict[str, list[Reservation]] = defaultdict(list)
        for one in self._holders | {holder}:
            held[one.sender].append(one)
        shares = {sender: sum(one.size for one in ones) for sender, ones in held.items()}
        own = shares.pop(holder.sender) + size
        for sender in sorted(shares, key=shares.__getitem__, reverse=True):
            unfinished = [one for one in held[sender] if not one.finished]
            if shares[sender] > own and len(held[sender]) > 1 and unfinished:
                return max(unfinished, key=attrgetter("began"))
        return None


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

    def open(self, sender: str, give_way: Callable[[], None]) -> Reservation:
        """Return an empty reservation; the arguments are described there."""
        return self._small.open(sender, give_way)

    def grow(self, body: Reservation, size: int) -> None:
        """Reserve ``size`` more bytes for a body.

        Raises:
            Overloaded: See `Room.add`.
        """
        total = body.size + size
        if total > SMALL_BODY_BYTES and body.room is self._small:
            self._small.remove(body)
            body.room = self._large
            size = total
        body.room.add(body, size)

    def replace(self, body: Reservation, size: int) -> None:
        """Reserve ``size`` bytes for what a complete body has become, instead of its own.

        Raises:
            Overloaded: See `Room.add`.
        """
        body.release()
        body.room = self._small
        self.grow(body, size)


def response_room(clock: Clock, limit_bytes: int = UNREAD_RESPONSES_BYTES) -> Room:
    """Return the room for the large responses of all connections."""
    return Room(limit_bytes, clock, "too many large responses wait for slow clients")
