"""Logs: one JSON object per line on stdout, the server framework's own lines included."""

import json
import logging
import sys
import time
from collections.abc import Mapping

import msgspec

from proxy_service.clock import NS_PER_SECOND, timestamp
from proxy_service.settings import log_level_number

_FRAMEWORK_LOGGERS = ("sanic.root", "sanic.error", "sanic.server", "asyncio")

_encode = msgspec.json.Encoder().encode
_encode_anything = json.JSONEncoder(default=str, separators=(",", ":")).encode


class JSONFormatter(logging.Formatter):
    """Writes a record as one ASCII line, so that nothing in it can forge another line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write ``record``; its ``fields`` attribute, a mapping, becomes part of the object."""
        fields: dict[str, object] = {**getattr(record, "fields", {})}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        time_ns = round(record.created * NS_PER_SECOND)
        return _line(time_ns, record.levelname, record.name, record.getMessage(), fields).decode()


def write_event(
    logger: logging.Logger, level: int, event: str, fields: Mapping[str, object]
) -> None:
    """Write one line to stdout at once, if ``logger`` is to write such.

    The same line as ``logger.log`` and `JSONFormatter` give, for a fourth of the cost: it is for
    what happens with every request.
    """
    if not logger.isEnabledFor(level):
        return
    line = _line(time.time_ns(), logging.getLevelName(level), logger.name, event, fields)
    try:
        sys.stdout.write(f"{line.decode()}\n")
        sys.stdout.flush()
    except OSError:
        pass  # nobody reads it, or the disk is full: requests go on


def _line(time_ns: int, level: str, logger: str, event: str, fields: Mapping[str, object]) -> bytes:
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
            return line
    except (TypeError, UnicodeEncodeError):
        pass  # a value that has no JSON: its text will do
    return _encode_anything(entry).encode("ascii")


def set_up_logging(level: str) -> None:
    """Send everything at ``level`` and above to stdout as JSON."""
    # Not in any line of ours, and costly to find out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  as the manual says
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level=log_level_number(level), handlers=[handler], force=True)
    for name in _FRAMEWORK_LOGGERS:
        logging.getLogger(name).setLevel(max(log_level_number(level), logging.WARNING))
