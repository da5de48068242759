"""What all connections together may hold of requests and whole responses. No I/O.

A request that never completes costs its sender nearly nothing, nor does a response that nobody
reads. So what they may make the proxy hold is limited, and when the room runs out, the slowest
client gives way, not the next one to ask.
"""

from collections import defaultdict
from collections.abc import Callable
from math import inf
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
# Seconds between two searches for a slow holder that find none: a search looks at all of them.
_SEARCH_SECONDS = 0.05
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


class _Share:
    """What one sender holds: its reservations, the newest one last, and their bytes."""

    __slots__ = ("holders", "size")

    def __init__(self) -> None:
        self.holders: dict[Reservation, None] = {}
        self.size = 0


class Room:
    """A number of bytes that is divided among reservations.

    Args:
        limit_bytes: That number.
        clock: The time, by which slow holders are found.
        full: What an error says when there isn't enough room.
    """

    __slots__ = ("_clock", "_full", "_left", "_search_after", "_senders")

    def __init__(self, limit_bytes: int, clock: Clock, full: str) -> None:
        self._left = limit_bytes
        self._clock = clock
        self._full = full
        self._senders: defaultdict[str, _Share] = defaultdict(_Share)
        self._search_after = -inf

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
        share = self._senders[holder.sender]
        share.holders[holder] = None
        share.size += size
        holder.size += size

    def remove(self, holder: Reservation) -> None:
        """Take all bytes from a holder."""
        share = self._senders.get(holder.sender)
        if share is None or holder not in share.holders:
            return
        del share.holders[holder]
        share.size -= holder.size
        if not share.holders:
            del self._senders[holder.sender]
        self._left += holder.size
        holder.size = 0

    def _slowest(self, holder: Reservation) -> Reservation | None:
        """Return the slowest of the others, None if all are quick enough."""
        now = self._clock.monotonic()
        if now < self._search_after:
            return None
        slowest, slowness = None, 0.0
        for share in self._senders.values():
            for other in share.holders:
                if other is not holder and other.slowness(now) > slowness:
                    slowest, slowness = other, other.slowness(now)
        if slowest is None:
            self._search_after = now + _SEARCH_SECONDS
        return slowest

    def _newest_of_largest_sender(self, holder: Reservation, size: int) -> Reservation | None:
        """Return what the sender that holds most has begun last, if ``holder``'s would hold less.

        So one sender can't keep others out, however quick it is. Its only body stays: otherwise,
        many senders would keep each other from completing one.
        """
        own = self._senders.get(holder.sender, _Share()).size + size
        larger = [share for share in self._senders.values() if share.size > own]
        for share in sorted(larger, key=attrgetter("size"), reverse=True):
            unfinished = (one for one in reversed(share.holders) if not one.finished)
            newest = next(unfinished, None)
            if len(share.holders) > 1 and newest is not None:
                return newest
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
