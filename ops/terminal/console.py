"""How a command prints to the operator, and how it ends."""

import os
import sys
from collections.abc import Callable


class OperatorError(Exception):
    """The command can't continue; the message says why and what to do next."""


def say(text: str = "") -> None:
    """Print a message for the operator, and flush it even when stdout is a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def mute() -> None:
    """Discard further output, after its reader closed the pipe, as in ``make verify | head``."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_command(command: Callable[[], int]) -> int:
    """Run a command's body, and translate what stops it into an exit code.

    Returns:
        What ``command`` returns; 1 after an OperatorError, which is printed, and after the
        output's reader closed the pipe; 130 after Ctrl-C.
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
