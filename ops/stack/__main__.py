"""``python -m ops.stack COMMAND`` (``make up`` and its siblings)."""

import sys

from ops.stack.commands import main
from ops.terminal.console import run_command

if __name__ == "__main__":
    sys.exit(run_command(lambda: main(sys.argv[1:])))
