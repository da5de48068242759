"""Answers scrapes: in a fixed set of formats, and one exposition for all that ask at once."""

import asyncio
import re
from typing import Final

from proxy_service.telemetry.metrics import ProxyMetrics

_VERSION: Final = re.compile(r";\s*version=([0-9]{1,4})\.[0-9.]{1,20}\s*(?:;|$)")
_ESCAPING: Final = re.compile(r";\s*escaping=(allow-utf-8|underscores|dots|values)\s*(?:;|$)")
_TYPES: Final = ("application/openmetrics-text", "text/plain")
# Characters of an ``Accept`` header that are read. Prometheus' own has about 200.
_MOST_CHARACTERS: Final = 1024


def canonical(accept: str) -> str:
    """Return the ``Accept`` header for the format that ``accept`` asks for; empty for the oldest.

    The library writes the version that a client names. Here clients get version 1.0.0 of a type or,
    if they don't know it, the text format 0.0.4. So there are few formats, whatever they send.
    """
    for part in accept[:_MOST_CHARACTERS].split(","):
        kind = part.partition(";")[0].strip()
        version = _VERSION.search(part)
        if kind not in _TYPES or (version is not None and version[1] == "0"):
            continue
        if version is None:
            return "" if kind == "text/plain" else kind
        escaping = _ESCAPING.search(part)
        suffix = f"; escaping={escaping[1]}" if escaping else ""
        return f"{kind}; version=1.0.0{suffix}"
    return ""


class Scrapes:
    """Makes one exposition at a time, for everyone who has asked for its format by then.

    An exposition takes some milliseconds. Thousands of scrapes at once would otherwise delay all
    streams by seconds.
    """

    def __init__(self, metrics: ProxyMetrics) -> None:
        self._metrics = metrics
        self._coming: dict[str, asyncio.Task[tuple[bytes, str]]] = {}
        self._turn = asyncio.Lock()

    async def expose(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics in the format that ``accept`` asks for, and its content type."""
        kind = canonical(accept)
        coming = self._coming.get(kind)
        if coming is None:
            coming = self._coming[kind] = asyncio.create_task(self._make(kind))
        return await asyncio.shield(coming)

    async def _make(self, kind: str) -> tuple[bytes, str]:
        async with self._turn:
            await asyncio.sleep(0)  # other requests run in between
            del self._coming[kind]
            return self._metrics.expose(kind)
