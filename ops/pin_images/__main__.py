"""``python -m ops.pin_images`` (``make pin-images``)."""

import sys

from ops.pin_images.command import main
from ops.terminal.console import run_command

if __name__ == "__main__":
    sys.exit(run_command(main))
