"""``python -m ops.prometheus`` (``make prometheus``): fetch Prometheus unless it is there."""

import sys

from ops.prometheus.programs import ensure_programs
from ops.terminal.console import run_command


def _main() -> int:
    ensure_programs()
    return 0


if __name__ == "__main__":
    sys.exit(run_command(_main))
