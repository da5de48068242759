"""``python -m tests.attacks`` (``make attacks``)."""

import sys

from ops.terminal.console import run_command
from tests.attacks.command import main

if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
