"""Where a running demo answers: written while it runs, so that ``make verify`` finds it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Final

from ops.console import RUN_DIR

DEMO_DIR: Final = RUN_DIR / "demo"
_FILE: Final = DEMO_DIR / "urls.json"


@dataclass(frozen=True)
class DemoUrls:
    """Base URLs; ``prometheus`` is None where the demo runs without it."""

    engine: str
    proxy: str
    prometheus: str | None


@contextmanager
def announced(urls: DemoUrls) -> Iterator[None]:
    """Let other commands find the demo for as long as the block runs."""
    _FILE.parent.mkdir(parents=True, exist_ok=True)
    _FILE.write_text(json.dumps({"pid": os.getpid(), **asdict(urls)}), encoding="utf-8")
    try:
        yield
    finally:
        _FILE.unlink(missing_ok=True)


def running_demo() -> DemoUrls | None:
    """Return where the demo of this checkout answers; None when none runs."""
    try:
        state = json.loads(_FILE.read_text(encoding="utf-8"))
        os.kill(state.pop("pid"), 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return DemoUrls(**state)
