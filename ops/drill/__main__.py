"""``python -m ops.drill`` (``make drill``)."""

import sys

from ops.drill.command import main
from ops.terminal.console import run_command

if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
