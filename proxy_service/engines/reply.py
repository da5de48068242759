"""Parses the engine's HTTP/1.1 replies from bytes that can be split anywhere; no I/O.

`httptools` does the parsing. This module decides what the parts mean: where a body ends, whether
the connection can be reused, and what isn't a reply at all. One reader parses all replies of
one connection, one after the other::

    head  --headers-->  body  --last byte-->  complete  --begin()-->  head
    (an interim reply, 1xx, leaves the state at head)

A body ends after its length or with its last transfer chunk. If it has neither, it ends with the
connection.
"""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy_service.errors import EngineProtocolError
from proxy_service.settings.stack_names import named

# Bytes; more than any server allows for a head.
MAX_HEAD_BYTES = 64 * 1024
# Bytes that may arrive after the head without adding to the body, such as trailers and extensions
# of transfer chunks. Several reads of the event loop.
_MAX_BYTES_WITHOUT_BODY = 512 * 1024
_FIRST_FINAL_STATUS = 200
_NOT_HTTP = (
    f"the engine's reply isn't HTTP; check that {named('MISTRAL_URL')} is the URL of Mistral.rs"
)
_NO_PARSER = HttpResponseParser(object())  # shared by readers of closed connections, never fed


class ReplyReader:
    """Parses bytes into a status, a content type and a body."""

    __slots__ = (
        "_bytes_without_body",
        "_delimited",
        "_head_bytes",
        "_parser",
        "_parts",
        "complete",
        "content_type",
        "has_head",
        "on_body",
        "pending",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.on_body = self._parts.append  # a callback, bound directly to save a call
        self._parser = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Get ready for the next reply."""
        self._parts.clear()
        self._head_bytes = self._bytes_without_body = 0
        self._delimited = False
        self.pending = 0
        self.status = 0
        self.content_type = ""
        self.has_head = self.complete = self.reusable = False

    @property
    def untouched(self) -> bool:
        """Whether no byte of a reply has arrived."""
        return not self._head_bytes and not self.has_head

    @property
    def has_body(self) -> bool:
        """Whether `take` would return data."""
        return bool(self._parts)

    def feed(self, data: bytes | memoryview) -> None:
        """Parse the next bytes.

        Raises:
            EngineProtocolError: They aren't HTTP, or the head is too long.
        """
        if not self.has_head:
            self._head_bytes += len(data)
        self.pending += len(data)  # head and framing included: an upper bound is enough
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.reusable = False
            if not self.complete:
                raise EngineProtocolError(_NOT_HTTP) from error
        if not self.has_head and self._head_bytes > MAX_HEAD_BYTES:
            raise EngineProtocolError(f"the engine's reply has a head above {MAX_HEAD_BYTES} bytes")
        if self._parts:
            self._bytes_without_body = 0
        else:
            self._bytes_without_body += len(data)
            if self._bytes_without_body > _MAX_BYTES_WITHOUT_BODY:
                raise EngineProtocolError("the engine's reply has an endless trailer")

    def forget(self) -> None:
        """Drop what is left of the body; the connection is closed, and nobody reads it."""
        self._parts.clear()
        self._parser = _NO_PARSER  # the other one refers to this reader

    def close(self) -> None:
        """End the reply together with its connection.

        Raises:
            EngineProtocolError: The reply is incomplete.
        """
        self.reusable = False
        if self.has_head and not self._delimited:
            self.complete = True
        if not self.complete:
            raise EngineProtocolError(
                "the connection to the engine broke in the middle of a reply; see the engine's log"
            )

    def take(self) -> bytes:
        """Return the part of the body that has arrived since the last call."""
        parts = self._parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.pending = 0
        return data

    # Callbacks of the parser, which finds them by name.

    def on_message_begin(self) -> None:
        """Refuse a second reply to one request; an error raised here ends `feed`."""
        if self.complete:
            raise EngineProtocolError(_NOT_HTTP)
        self._delimited = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Store the few headers that matter."""
        if self.has_head:
            return  # a trailer
        name = name.lower()
        if name == b"content-type":
            self.content_type = value.decode("latin-1")
        elif name in (b"content-length", b"transfer-encoding"):
            self._delimited = True

    def on_headers_complete(self) -> None:
        """Store the status, unless it is an interim one."""
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= _FIRST_FINAL_STATUS

    def on_message_complete(self) -> None:
        """Record that the reply is complete, and whether its connection can be reused."""
        self.complete = self.has_head
        self.reusable = self._parser.should_keep_alive()
