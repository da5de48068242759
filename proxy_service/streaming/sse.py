"""Decodes server-sent events from bytes that may be split anywhere.

Lines end with LF, CRLF or CR only, because JSON may contain other separators such as U+2028. An
unfinished line is kept until its end arrives. A CR at the end of a read may be half of a CRLF, so
an LF after it is skipped. Source: HTML standard, "Interpreting an event stream".
"""

from typing import NamedTuple

from proxy_service.errors import EngineProtocolError

# More than any event needs, even one with an image.
MAX_EVENT_BYTES = 16 * 1024 * 1024
# Bytes of an unfinished line that `SSEDecoder.reclaim` returns: no event of a run is as long.
_MAX_RECLAIMED_BYTES = 64 * 1024
# Bytes that Python takes for a line of an event, besides its text.
_LINE_BYTES = 48
_BOM = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event; ``name`` is empty if the stream doesn't name it."""

    name: bytes
    data: bytes


class SSEDecoder:
    """Decodes the events of one stream.

    Attributes:
        comments: How many comments there were, which servers send in long silences.
    """

    __slots__ = ("_data", "_data_bytes", "_name", "_skip_lf", "_started", "_tail", "comments")

    def __init__(self) -> None:
        self.comments = 0
        self._tail = bytearray()  # the unfinished line; bytes would be copied for each read
        self._name = b""
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._skip_lf = False
        self._started = False

    def reclaim(self, data: bytes) -> bytes:
        """Return ``data``, which hasn't been fed yet, with the unfinished line prepended.

        Within an event of several lines, or a long one, return ``data`` alone.
        """
        if not self._tail or self._data or self._name or len(self._tail) > _MAX_RECLAIMED_BYTES:
            return data
        return self._with_tail(data)

    @property
    def held(self) -> int:
        """About how many bytes are held of an unfinished event."""
        return len(self._tail) + len(self._name) + self._data_bytes + _LINE_BYTES * len(self._data)

    @property
    def between_events(self) -> bool:
        """Whether the next byte starts an event."""
        return self._started and not (self._tail or self._data or self._name or self._skip_lf)

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return the events that they complete.

        Raises:
            EngineProtocolError: An event is longer than `MAX_EVENT_BYTES`.
        """
        lines = self._lines(data)
        events: list[Event] = []
        for line in lines:
            if line.startswith(b"data: "):
                self._data.append(line[6:])
                self._data_bytes += len(line)
            elif line:
                self._field(line)
            elif self._data:
                events.append(self._take())
            else:
                self._name = b""
        if self.held > MAX_EVENT_BYTES:
            raise EngineProtocolError(
                f"the engine sent an event of more than {MAX_EVENT_BYTES} bytes"
            )
        return events

    def close(self) -> list[Event]:
        """Return the last event if the stream ended without a blank line after it."""
        if rest := self._with_tail(b""):
            self._field(rest)
        return [self._take()] if self._data else []

    def _lines(self, data: bytes) -> list[bytes]:
        if self._skip_lf and data:
            data = data.removeprefix(b"\n")
            self._skip_lf = False
        if not self._started:
            data = self._with_tail(data)
            if len(data) < len(_BOM) and _BOM.startswith(data):
                self._tail += data
                return []
            data = data.removeprefix(_BOM)
            self._started = True
        if b"\r" in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        elif b"\n" not in data:
            self._tail += data
            return []
        lines = self._with_tail(data).split(b"\n")
        self._tail += lines.pop()
        return lines

    def _with_tail(self, data: bytes) -> bytes:
        """Return the unfinished line with ``data`` appended, and keep nothing of it."""
        if not self._tail:
            return data
        self._tail += data
        data = bytes(self._tail)
        self._tail.clear()
        return data

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_bytes += len(line)
        elif name == b"event":
            self._name = value
        elif not name:
            self.comments += 1

    def _take(self) -> Event:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        event = Event(self._name, data)
        self._name = b""
        self._data = []
        self._data_bytes = 0
        return event
