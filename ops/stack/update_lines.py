"""Pulumi's output of an update on a terminal: what is done stays, what goes on is a status.

Pulumi's own display rewrites the whole terminal, so that nothing could be shown beside it. Without
a terminal, it prints a line for each step of each resource, hundreds for the build of an image.
"""

import re
from collections.abc import Callable
from typing import Final

from ops.terminal.status import Terminal

# `@ updating....`: a sign of life, which the status is too.
_DOTS: Final = re.compile(r"@ \w+( \w+)*\.+")

# ` +  docker:index:Image proxy-image creating (12s) exporting layers`, perhaps in colours.
_GOES_ON: Final = re.compile(r"\b\w+ing( \w+)? \(\d+s\)")
_FAILED: Final = re.compile(r"\berror\b|\bfailed\b")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m|<\{%\w*%\}>")


def writer(terminal: Terminal) -> Callable[[str], None]:
    """Return what shows a line of Pulumi's output."""
    if not terminal.rewrites:
        return terminal.say

    def write_line(line: str) -> None:
        plain = _COLOUR.sub("", line).strip()
        if _DOTS.fullmatch(plain):
            return
        if _GOES_ON.search(plain) and not _FAILED.search(plain):
            terminal.show_status(plain)
        else:
            terminal.say(line)

    return write_line
