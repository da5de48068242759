"""``python -m ops.verify`` (``make verify``)."""

import sys

from ops.terminal.console import run_command
from ops.verify.command import main

if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
