"""Parses clients' HTTP/1.1 requests from bytes that can be split anywhere; no I/O.

`httptools` (llhttp) does the parsing, strictly: it refuses what another server could read as a
different request (two lengths, a length beside chunked coding, folded lines, a line feed without
its carriage return, space before a colon, control characters, a wrong size of a transfer chunk).
This module adds what llhttp leaves to its user: sizes, versions, ``Host``, ``Expect``, transfer
codings other than chunked, and offers of another protocol, which are ignored.

One reader parses all requests of one connection, one after the other::

    head  --headers-->  body  --last byte-->  head of the next request
    any   --error-->    broken: the bytes that follow can't be trusted, and aren't parsed

A request is handed over when its head is complete, because many can be refused without their
bodies. An error belongs to the request in whose bytes it occurs. An error in a head makes a
request that has only a failure.
"""

from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import cast

from httptools import (
    HttpParserError,
    HttpParserInvalidURLError,
    HttpParserUpgrade,
    HttpRequestParser,
    parse_url,
)
from sanic.compat import Header

from proxy_service.errors import BodyTooLarge, InvalidRequest, Overloaded, ProxyError
from proxy_service.server.budgets import BodyBudget, HeadBudget, Reservation, head_cost
from proxy_service.settings.stack_names import named

# Bytes of a request line and its headers together, separators included; nginx's default.
MAX_HEAD_BYTES = 32 * 1024
# Requests that may wait on a connection for the response to an earlier one (HTTP pipelining).
MAX_PIPELINED = 16
# Headers in one head; Apache's default.
MAX_HEADERS = 100
# Bytes of a path. The names of models are at most as long as a file's path may be on Linux, and the
# router keeps the last 1,024 paths that it has found a route for.
MAX_PATH_BYTES = 4096
# The separators of one header: a colon, a space, and the end of the line.
_SEPARATOR_BYTES = 4
# Bytes that may arrive without completing a head or adding to a body, such as trailers and long
# extensions of transfer chunks. Two reads of the event loop.
_MAX_BYTES_WITHOUT_PROGRESS = 512 * 1024
# Bytes that are parsed together. Of a head that begins among them, the parser may hold as many.
_BYTES_AT_ONCE = MAX_HEAD_BYTES
_VERSIONS = ("1.1", "1.0")
_NO_HEADERS = Header()  # shared by requests without a head, and never changed
_NO_PARSER = HttpRequestParser(object())  # shared by readers that have ended, and never fed


class IncomingRequest:
    """One request whose head is complete.

    ``path`` has no query, and isn't decoded. ``failure`` is what is wrong with the request: in its
    head if it isn't ``routable``, else in its body. ``body`` is set once the request is
    ``complete``. ``reservation`` is what its body has reserved of the budget, and ``head_cost``
    what its head takes of that for heads.
    """

    __slots__ = (
        "body",
        "complete",
        "expects_continue",
        "failure",
        "head_cost",
        "headers",
        "keep_alive",
        "method",
        "path",
        "reservation",
        "routable",
        "version",
    )

    def __init__(self) -> None:
        self.method = "NONE"
        self.path = "*"
        self.version = "1.1"
        self.headers = _NO_HEADERS
        self.head_cost = 0
        self.routable = False
        self.keep_alive = False
        self.expects_continue = False
        self.body = b""
        self.reservation: Reservation | None = None
        self.complete = False
        self.failure: ProxyError | None = None


class RequestReader:
    """Parses bytes into requests.

    Args:
        max_body_bytes: Size above which a body is refused.
        bodies: What the bodies of all connections may use.
        heads: What the heads of all connections may use.
        wake: Called when the request whose body is being read has to give way to others.
    """

    __slots__ = (
        "_bodies",
        "_body",
        "_bytes_without_progress",
        "_current",
        "_ended",
        "_fields",
        "_head_bytes",
        "_head_received",
        "_heads",
        "_heads_complete",
        "_heads_held",
        "_max_body_bytes",
        "_parser",
        "_target",
        "_wake",
        "_within_head",
        "requests",
        "sender",
    )

    def __init__(
        self,
        *,
        max_body_bytes: int,
        bodies: BodyBudget,
        heads: HeadBudget,
        wake: Callable[[], None],
    ) -> None:
        # Oldest first; the connection removes the ones that it answers.
        self.requests: deque[IncomingRequest] = deque()
        self.sender = ""  # whose requests they are; see `sender_of`
        self._max_body_bytes = max_body_bytes
        self._bodies = bodies
        self._heads = heads
        self._wake = wake
        self._current: IncomingRequest | None = None  # the one whose body is being read
        self._ended = self._within_head = False
        self._target = b""
        self._fields: list[tuple[str, str]] = []
        self._body = BytesIO()
        self._head_bytes = self._head_received = self._bytes_without_progress = 0
        # What the complete heads take, and what was reserved for all of them.
        self._heads_complete = self._heads_held = 0
        self._parser = HttpRequestParser(self)

    @property
    def within_head(self) -> bool:
        """Whether a request has begun whose head isn't complete."""
        return self._within_head and not self._ended

    @property
    def buffered(self) -> int:
        """The number of bytes held of an incomplete body."""
        return self._body.tell()

    def feed(self, data: bytes) -> None:
        """Parse the next bytes; after an error or a last request they are ignored."""
        if len(data) <= _BYTES_AT_ONCE:
            self._feed(data)
            return
        for start in range(0, len(data), _BYTES_AT_ONCE):
            self._feed(data[start : start + _BYTES_AT_ONCE])

    def _feed(self, data: bytes) -> None:
        received = len(data)
        self._bytes_without_progress += received
        while data and not self._ended:
            try:
                self._parser.feed_data(data)
                data = b""
            except HttpParserUpgrade as upgrade:
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self._parser = HttpRequestParser(self)
            except HttpParserError as error:
                cause = error.__context__
                if isinstance(cause, ProxyError):
                    self.fail(cause)
                else:
                    self.fail(InvalidRequest(f"malformed HTTP request: {error}"))
        # A field that isn't complete is held by the parser, and not in `_head_bytes`.
        limit = MAX_HEAD_BYTES if self.within_head else _MAX_BYTES_WITHOUT_PROGRESS
        if self._bytes_without_progress > limit:
            self.fail(_head_too_large())
        if self.within_head:
            self._head_received += received
            try:
                self._hold_heads(head_cost(self._head_received, len(self._fields)))
            except Overloaded as error:
                self.fail(error)

    def fail(self, error: ProxyError) -> None:
        """Stop parsing, and fail the request that has begun with ``error``."""
        if self._ended:
            return  # bytes after a request that closes the connection
        self._end()
        error.forget_origin()
        request = self._current
        if request is None:
            request = IncomingRequest()
            self.requests.append(request)
        request.failure = error
        request.keep_alive = False
        self._current = None
        self._hold_heads()
        release(request)

    def answered(self, request: IncomingRequest) -> None:
        """Release what a request has reserved, once it is answered."""
        release(request)
        self._heads_complete -= request.head_cost
        self._hold_heads()

    def hold(self, request: IncomingRequest, size: int) -> None:
        """Reserve ``size`` bytes for what a request's body has become, instead of its own.

        Raises:
            Overloaded: There isn't enough room.
        """
        if request.reservation is not None:
            self._bodies.replace(request.reservation, size)

    def close(self) -> None:
        """Release everything but the request that is being answered; the connection is closed."""
        self._end()
        # Otherwise, they and the reader would keep each other in memory.
        self._wake = _nobody
        self._current = None
        while self.requests:
            self.answered(self.requests.popleft())
        self._hold_heads()

    def _end(self) -> None:
        """Parse no more, and keep nothing of what isn't complete."""
        self._ended = True
        self._parser = _NO_PARSER
        self._body = BytesIO()
        self._forget_head()

    def _hold_heads(self, unfinished: int = 0) -> None:
        """Reserve what the heads take: the complete ones, and one that isn't complete.

        Raises:
            Overloaded: It is more than there is.
        """
        needed = self._heads_complete + unfinished
        if needed != self._heads_held:
            self._heads.resize(self._heads_held, needed)
            self._heads_held = needed

    def _forget_head(self) -> None:
        self._target = b""
        self._fields.clear()
        self._head_bytes = self._head_received = 0

    def _give_way(self) -> None:
        """Fail the request whose body is being read, because others need its room."""
        self.fail(Overloaded("this body arrives too slowly, and others need its place"))
        self._wake()

    def _head_without_upgrade(self) -> bytes:
        """Return the head that was parsed, without its offer of another protocol.

        It is parsed again, because llhttp ends a message after a head with such an offer. A client
        whose offer is ignored sends its body as usual (RFC 9110, 7.8). Java's client makes an
        offer with its first request.
        """
        method = self._parser.get_method().decode("ascii")
        lines = [f"{method} {self._target.decode('ascii')} HTTP/{self._parser.get_http_version()}"]
        lines += [f"{name}: {value}" for name, value in self._fields if name.lower() != "upgrade"]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")

    # Callbacks of the parser, which finds them by name. An error raised in one ends `feed`.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._within_head = True
        self._forget_head()

    def on_url(self, part: bytes) -> None:
        """Add a part of the request's target."""
        self._target += part
        self._head_bytes += len(part)
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _head_too_large()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add one header; trailers only count towards the size."""
        self._head_bytes += len(name) + len(value) + _SEPARATOR_BYTES
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _head_too_large()
        if self._current is None:
            if len(self._fields) >= MAX_HEADERS:
                raise _head_too_large()
            self._fields.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """Check the request and hand it over."""
        parser = self._parser
        request = IncomingRequest()
        request.method = parser.get_method().decode("ascii")
        if parser.should_upgrade() and request.method != "CONNECT":
            return  # `feed` parses it again
        request.version = parser.get_http_version()
        request.headers = Header(self._fields)
        request.keep_alive = parser.should_keep_alive()
        _check(request)
        request.path = _path(self._target)
        self._within_head = False
        self._bytes_without_progress = 0
        if len(self.requests) >= MAX_PIPELINED:
            raise InvalidRequest(
                f"more than {MAX_PIPELINED} requests are waiting on this connection; "
                "read some responses before you send more"
            )
        request.head_cost = head_cost(self._head_bytes, len(self._fields))
        self._forget_head()
        self._hold_heads(request.head_cost)
        self._heads_complete += request.head_cost
        request.routable = True
        self._current = request
        self.requests.append(request)
        if int(request.headers.get("content-length", "0")) > self._max_body_bytes:
            raise _body_too_large()

    def on_body(self, part: bytes) -> None:
        """Add a part of the body."""
        self._bytes_without_progress = 0
        request = cast("IncomingRequest", self._current)
        if request.reservation is None:
            request.reservation = self._bodies.open(self.sender, self._give_way)
        if request.reservation.size + len(part) > self._max_body_bytes:
            raise _body_too_large()
        self._bodies.grow(request.reservation, len(part))
        self._body.write(part)

    def on_message_complete(self) -> None:
        """Complete the request with its body."""
        request = self._current
        if request is None:
            return  # its head offers another protocol
        request.body = self._body.getvalue()  # without a copy
        request.complete = True
        if request.reservation is not None:
            request.reservation.finished = True
        self._body = BytesIO()
        self._current = None
        self._bytes_without_progress = 0
        self._ended = not request.keep_alive


def _nobody() -> None:
    """Wake no one."""


def release(request: IncomingRequest) -> None:
    """Release what a request's body has reserved of the budget."""
    if request.reservation is not None:
        request.reservation.release()


def _path(target: bytes) -> str:
    """Return the path of a request's target, without decoding it."""
    if target.startswith(b"/") and b"?" not in target and b"#" not in target:
        path = target
    else:
        try:
            path = parse_url(target).path or b"/"
        except HttpParserInvalidURLError:
            raise InvalidRequest("the request's target isn't a URL") from None
    if len(path) > MAX_PATH_BYTES:
        raise InvalidRequest(
            f"the request's path has more than {MAX_PATH_BYTES} bytes",
            status=HTTPStatus.REQUEST_URI_TOO_LONG,
        )
    return path.decode("ascii")


def _check(request: IncomingRequest) -> None:
    """Raise an error for what llhttp accepts and the proxy doesn't."""
    headers = request.headers
    if request.version not in _VERSIONS:
        raise InvalidRequest(
            "only HTTP/1.1 and HTTP/1.0 are supported",
            status=HTTPStatus.HTTP_VERSION_NOT_SUPPORTED,
        )
    if request.method == "CONNECT":
        raise InvalidRequest(
            "this server isn't a forward proxy", status=HTTPStatus.METHOD_NOT_ALLOWED
        )
    hosts = len(headers.getall("host", ()))
    if hosts > 1 or (not hosts and request.version == "1.1"):
        raise InvalidRequest("a request needs exactly one Host header")
    coding = headers.get("transfer-encoding")
    if coding is not None and (coding.lower() != "chunked" or request.version == "1.0"):
        raise InvalidRequest(
            "the only supported transfer coding is chunked, and HTTP/1.0 has none",
            status=HTTPStatus.NOT_IMPLEMENTED,
        )
    expected = headers.get("expect")
    if expected is not None and request.version == "1.1":
        if expected.lower() != "100-continue":
            raise InvalidRequest(
                "the only supported expectation is 100-continue",
                status=HTTPStatus.EXPECTATION_FAILED,
            )
        request.expects_continue = True


def _body_too_large() -> BodyTooLarge:
    return BodyTooLarge(f"the request body is too large; {named('MAX_BODY_MIB')} sets the limit")


def _head_too_large() -> InvalidRequest:
    return InvalidRequest(
        f"the request's head has more than {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} headers",
        status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    )
