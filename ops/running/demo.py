"""The URLs of a running demo, kept in a file so that ``make verify`` finds them."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ops.checkout import RUN_DIR

FILE_NAME: Final = "urls.json"


@dataclass(frozen=True)
class DemoUrls:
    """Base URLs; ``prometheus`` is None where the demo runs without it."""

    engine: str
    proxy: str
    prometheus: str | None


def demo_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the demo's configuration and data; DEMO_DIR moves it."""
    return Path(environ.get("DEMO_DIR") or RUN_DIR / "demo").resolve()


@contextmanager
def announced(urls: DemoUrls, folder: Path) -> Iterator[None]:
    """Let other commands find the demo while the block runs."""
    file = folder / FILE_NAME
    file.write_text(json.dumps({"pid": os.getpid(), **asdict(urls)}), encoding="utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def running_demo(folder: Path) -> DemoUrls | None:
    """Return the URLs of the demo that keeps its data in ``folder``; None when none runs."""
    try:
        state = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        os.kill(state.pop("pid"), 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return DemoUrls(**state)
