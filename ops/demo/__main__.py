"""``python -m ops.demo`` (``make demo``)."""

import sys

from ops.demo.session import main
from ops.system.console import run_command

if __name__ == "__main__":
    sys.exit(run_command(main))
