"""Logs: one JSON object per line on stdout, the server framework's own lines included."""

import json
import logging
import sys
from datetime import UTC, datetime

from proxy_service.settings import log_level_number

_FRAMEWORK_LOGGERS = ("sanic.root", "sanic.error", "sanic.server", "asyncio")

_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode


class JSONFormatter(logging.Formatter):
    """Writes a record as one ASCII line, so that nothing in it can forge another line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write ``record``; its ``fields`` attribute, a dict, becomes part of the object."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields: dict[str, object] = getattr(record, "fields", {})
        entry |= {name: value for name, value in fields.items() if value is not None}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _encode(entry)


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
