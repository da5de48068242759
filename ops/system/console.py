"""What every operator command shares: where things lie, how it speaks, how it gives up."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
"""The checkout."""

RUN_DIR: Final = ROOT / ".run"
"""Run-time state that may be deleted while nothing runs."""


class OperatorError(Exception):
    """The command can't go on; the message says why and what to do next."""


def say(text: str = "") -> None:
    """Print one message for the operator at once, also when stdout is a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def mute() -> None:
    """Send further output nowhere: its reader is gone, as in ``make verify | head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_command(command: Callable[[], int]) -> int:
    """Run a command's body and turn what stops it into an exit code.

    Returns:
        What ``command`` returns; 1 after an OperatorError, printed as one line, and
        when the output's reader is gone; 130 after Ctrl-C.
    """
    try:
        return command()
    except OperatorError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except BrokenPipeError:
        mute()
        return 1
    except KeyboardInterrupt:
        return 130
