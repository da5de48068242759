"""Tests third-party clients against the proxy: `make test-clients`.

The clients are installed into a separate virtual environment, because their many dependencies would
constrain the project's. It is created again when the requirements change.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENT = ROOT / ".run" / "clients"
PYTHON = ENVIRONMENT / "bin" / "python"
REQUIREMENTS = HERE / "requirements.txt"
INSTALLED = ENVIRONMENT / "installed-requirements.txt"
NODE = HERE / "node"


def main() -> int:
    """Install what is missing, run the tests, and return pytest's exit code."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("error: npm was not found; install Node.js 18 or later, which ollama-js needs")
    _install_python_clients()
    _run(npm, "ci", "--no-audit", "--no-fund", "--silent", "--prefix", str(NODE))
    return subprocess.call(
        [PYTHON, "-m", "pytest", "-q", "-c", str(HERE / "pytest.ini"), str(HERE)], cwd=ROOT
    )


def _install_python_clients() -> None:
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if INSTALLED.exists() and INSTALLED.read_text(encoding="utf-8") == wanted:
        return
    print("Installing third-party clients into .run/clients …", flush=True)  # noqa: T201
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
    _run(str(PYTHON), *pip, "-r", str(REQUIREMENTS))
    INSTALLED.write_text(wanted, encoding="utf-8")


def _run(*command: str) -> None:
    if subprocess.call(command, cwd=ROOT):
        sys.exit(f"error: this command failed, see above: {' '.join(command)}")


if __name__ == "__main__":
    sys.exit(main())
