"""``python -m ops.demo`` (``make demo``)."""

import sys

from ops.demo.command import main
from ops.terminal.console import run_command

if __name__ == "__main__":
    sys.exit(run_command(main))
