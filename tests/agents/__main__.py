"""`make test-agents`: install the coding agents, and run their tests.

The agents take 1.2 GB, so `make test` leaves them out. Scripts of their packages aren't run.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from ops.checkout import ROOT

HERE = Path(__file__).resolve().parent
NODE = HERE / "node"


def main() -> int:
    """Install what the lock says, run the tests, and return pytest's exit code."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("error: npm was not found; install Node.js 20 or later, which the agents need")
    options = ("--no-audit", "--no-fund", "--silent", "--ignore-scripts")
    if subprocess.call([npm, "ci", *options, "--prefix", str(NODE)], cwd=ROOT):
        sys.exit("error: the agents can't be installed, see above")
    test = [sys.executable, "-m", "pytest", "-q", "-m", "agent", str(HERE)]
    return subprocess.call([*test, *sys.argv[1:]], cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
