"""Standard output with a status that is rewritten in place."""

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_ERASE_LINE = "\r\033[K"


class Terminal:
    """Prints lines, and on a terminal a status below them.

    Several threads may print at once. If the output isn't a terminal, each status is a line.

    Args:
        output: Where to print; standard output by default.
    """

    def __init__(self, output: TextIO | None = None) -> None:
        self.output = output or sys.stdout
        self.rewrites = self.output.isatty()
        self._status = ""
        self._lock = threading.RLock()

    def say(self, text: str) -> None:
        """Print lines."""
        with self.printing() as output:
            output.write(f"{text}\n")

    def show_status(self, text: str) -> None:
        """Replace the status; an empty text removes it."""
        if self.rewrites:
            with self.printing():
                self._status = text[: shutil.get_terminal_size().columns - 1]
        elif text:
            self.say(text)

    @contextmanager
    def printing(self) -> Iterator[TextIO]:
        """Hide the status while whole lines are printed to the output."""
        with self._lock:
            if self._status:
                self.output.write(_ERASE_LINE)
            yield self.output
            self.output.write(self._status)
            self.output.flush()
