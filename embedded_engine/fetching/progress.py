"""Show how much of a download has arrived: a bar on a terminal, occasional lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Print one line.
Report = Callable[[str], None]

_MEGABYTE = 1_000_000
_BAR_SECONDS = 0.1
_LINES_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where to report the number of bytes that have arrived, and how often."""

    show: Callable[[int], None]
    interval_seconds: float


@contextmanager
def download_progress(total_bytes: int, report: Report) -> Iterator[Progress]:
    """Show the progress of a download for as long as the block runs."""
    if not sys.stderr.isatty():
        total = total_bytes // _MEGABYTE
        yield Progress(lambda got: report(f"  {got // _MEGABYTE} of {total} MB"), _LINES_SECONDS)
        return
    # Imported late: most starts download nothing.
    from tqdm import tqdm  # type: ignore[import-untyped]  # noqa: PLC0415

    with tqdm(total=total_bytes, unit="B", unit_scale=True, dynamic_ncols=True) as bar:
        yield Progress(lambda got: bar.update(got - bar.n), _BAR_SECONDS)
