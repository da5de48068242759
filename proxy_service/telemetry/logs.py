"""Logs: one line per event on stdout, as JSON for machines or as text for people.

Nothing in an event's fields can begin a second line, or move the cursor of a terminal: JSON is
written in ASCII, and text escapes what isn't printable. In a text log, only tracebacks take several
lines, and each of those is marked.

The name of a logger is written as a literal: people filter the log by it, so it stays the same when
its module moves.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from io import TextIOWrapper
from typing import cast

import msgspec

from proxy_service.clock import NS_PER_SECOND, timestamp

REQUEST_FINISHED = "request_finished"

_FRAMEWORK_LOGGERS = ("sanic.root", "sanic.error", "sanic.server", "asyncio")
_TRACEBACK_MARK = "    | "

Fields = Mapping[str, object]
# Takes the time in ns since 1970, the level's name, the logger's name, the event and its fields.
LineWriter = Callable[[int, str, str, str, Fields], str]

_encode = msgspec.json.Encoder().encode
_encode_anything = json.JSONEncoder(default=str, separators=(",", ":")).encode


def json_line(time_ns: int, level: str, logger: str, event: str, fields: Fields) -> str:
    """Return an event as a JSON object in ASCII; fields without a value are left out."""
    entry: dict[str, object] = {
        "time": timestamp(time_ns),
        "level": level.lower(),
        "logger": logger,
        "event": event,
    }
    entry |= {name: value for name, value in fields.items() if value is not None}
    try:
        line = _encode(entry)
        if line.isascii():
            return line.decode()
    except (TypeError, UnicodeEncodeError):
        pass  # A value that isn't JSON is written as its text.
    return _encode_anything(entry)


def text_line(time_ns: int, level: str, logger: str, event: str, fields: Fields) -> str:
    """Return an event as text: the local time, what happened, and a traceback below it."""
    at = time.strftime("%H:%M:%S", time.localtime(time_ns // NS_PER_SECOND))
    if event == REQUEST_FINISHED:
        return f"{at}  {_printable(_request_text(fields))}"
    others = {name: value for name, value in fields.items() if value is not None}
    traceback = str(others.pop("exception", ""))
    reason = others.pop("reason", None)
    text = event.replace("_", " ") if logger.startswith("proxy_service") else event
    if level not in ("DEBUG", "INFO"):
        text = f"{level.lower()}: {text}"
    if reason is not None:
        text += f": {reason}"
    if others:
        text += f" ({', '.join(f'{name} {value}' for name, value in others.items())})"
    lines = [f"{at}  {_printable(text)}"]
    lines += [f"{_TRACEBACK_MARK}{_printable(line)}" for line in traceback.splitlines()]
    return "\n".join(lines)


def _request_text(fields: Fields) -> str:
    """Return endpoint, model, status, seconds, and the tokens or the reason of an error."""
    status, http_status = str(fields["status"]), cast("int", fields["http_status"])
    failed = status != "success"
    if not failed or (status != "cancelled" and http_status >= HTTPStatus.BAD_REQUEST):
        status = str(http_status)
    result = ""
    if failed:
        result = str(fields["error"] or fields["error_type"] or "")
    elif tokens := fields["output_tokens"]:
        result = "1 token" if tokens == 1 else f"{tokens} tokens"
    seconds = f"{fields['duration_seconds']:.2f} s"
    parts = (fields["endpoint"], fields["model"], status, seconds, result)
    return "  ".join(str(part) for part in parts if part)


def _printable(text: str) -> str:
    """Escape what a terminal would not print, line breaks and control sequences included."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


class EventFormatter(logging.Formatter):
    """Formats the records of `logging`, the framework's included; one class per format."""

    line: LineWriter

    def format(self, record: logging.LogRecord) -> str:
        """Return ``record`` as text; its ``fields`` attribute, a mapping, holds its fields."""
        fields: dict[str, object] = {**getattr(record, "fields", {})}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        time_ns = round(record.created * NS_PER_SECOND)
        return self.line(time_ns, record.levelname, record.name, record.getMessage(), fields)


class JSONFormatter(EventFormatter):
    """Formats each record as a JSON object on a line."""

    line = staticmethod(json_line)


class TextFormatter(EventFormatter):
    """Formats each record as a line for people."""

    line = staticmethod(text_line)


_FORMATTERS: dict[str, EventFormatter] = {"json": JSONFormatter(), "text": TextFormatter()}
_formatter = _FORMATTERS["json"]


def write_event(logger: logging.Logger, level: int, event: str, fields: Fields) -> None:
    """Write an event to stdout at once, if ``logger`` is enabled for ``level``.

    The line is the one that ``logger.log`` would write, at a quarter of the cost: use this for
    events that every request causes.
    """
    if not logger.isEnabledFor(level):
        return
    line = _formatter.line(time.time_ns(), logging.getLevelName(level), logger.name, event, fields)
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except OSError:
        pass  # stdout was closed, or the disk is full; requests must not fail because of it.


def set_up_logging(level: str, log_format: str) -> None:
    """Send all events at ``level`` and above to stdout, as ``json`` or ``text``."""
    global _formatter  # noqa: PLW0603  `logging` is set up once per process, and so is this
    _formatter = _FORMATTERS[log_format]
    # No line contains these, and collecting them costs time for each record.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  as the documentation of `logging` recommends
    if isinstance(sys.stdout, TextIOWrapper):
        # Text may hold printable characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_formatter)
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=number, handlers=[handler], force=True)
    for name in _FRAMEWORK_LOGGERS:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
