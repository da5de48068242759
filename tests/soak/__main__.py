"""``python -m tests.soak`` (``make soak``)."""

import sys

from ops.terminal.console import run_command
from tests.soak.command import main

if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
