"""Reads the engine's HTTP/1.1 responses from bytes that may be split anywhere; no I/O.

`httptools` takes the bytes apart. This module decides what they mean: where a body ends, when a
connection may serve again, and what is no answer at all. One reader serves all the responses
of one connection, one after the other::

    head  --headers-->  body  --last byte-->  complete  --begin()-->  head
    (an interim response, 1xx, leaves the state at head)

A body ends by its length, by its last chunk, or, having neither, by the end of the connection.
"""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy_service.errors import EngineProtocolError

# Bytes; a head that is longer than any server's limit is none.
MAX_HEAD_BYTES = 64 * 1024
_FIRST_FINAL_STATUS = 200
_NO_HTTP = "what the engine sent is not HTTP; check that MISTRAL_URL is Mistral.rs"


class ResponseReader:
    """Turns bytes into a status, a content type and a body."""

    __slots__ = (
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
        self.on_body = self._parts.append  # called for each piece, so without a frame of ours
        self._parser = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Expect the next response."""
        self._parts.clear()
        self._head_bytes = 0
        self._delimited = False
        self.pending = 0
        self.status = 0
        self.content_type = ""
        self.has_head = self.complete = self.reusable = False

    @property
    def untouched(self) -> bool:
        """Whether no byte of a response has come."""
        return not self._head_bytes and not self.has_head

    @property
    def has_body(self) -> bool:
        """Whether a part of the body waits to be taken."""
        return bool(self._parts)

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            EngineProtocolError: They are not HTTP, or the head does not end.
        """
        if not self.has_head:
            self._head_bytes += len(data)
        self.pending += len(data)  # head and framing included: an upper bound is all it need be
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.reusable = False
            if not self.complete:
                raise EngineProtocolError(_NO_HTTP) from error
        if not self.has_head and self._head_bytes > MAX_HEAD_BYTES:
            raise EngineProtocolError(f"the engine's reply has a head above {MAX_HEAD_BYTES} bytes")

    def close(self) -> None:
        """Note that nothing more will come.

        Raises:
            EngineProtocolError: The response has not reached its end.
        """
        self.reusable = False
        if self.has_head and not self._delimited:
            self.complete = True
        if not self.complete:
            raise EngineProtocolError(
                "the connection to the engine broke in the middle of a reply; see the engine's log"
            )

    def take(self) -> bytes:
        """Give the part of the body that came since the last call."""
        parts = self._parts
        if not parts:
            return b""
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.pending = 0
        return data

    # What the parser calls, by the names that it looks for.

    def on_message_begin(self) -> None:
        """Refuse a second response to one request; what raises here ends `feed`."""
        if self.complete:
            raise EngineProtocolError(_NO_HTTP)
        self._delimited = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the few headers that matter."""
        if self.has_head:
            return  # a trailer
        name = name.lower()
        if name == b"content-type":
            self.content_type = value.decode("latin-1")
        elif name in (b"content-length", b"transfer-encoding"):
            self._delimited = True

    def on_headers_complete(self) -> None:
        """Note the status, unless it is an interim one."""
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= _FIRST_FINAL_STATUS

    def on_message_complete(self) -> None:
        """Note the end, and whether another request may follow."""
        self.complete = self.has_head
        self.reusable = self._parser.should_keep_alive()
