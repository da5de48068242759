"""What both sources of Prometheus share."""

import re
from pathlib import Path


class FetchError(Exception):
    """Prometheus can't be fetched from a source; the message says why."""


def bin_folder(folder: Path) -> Path:
    """Return where a source puts the programs."""
    return folder / "bin"


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (2, 42, 0) for ``2.42.0+ds-5``."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()
