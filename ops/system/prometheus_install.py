"""Get Prometheus and promtool onto PATH: ``python -m ops.system.prometheus_install``.

Installs only where that is one safe command: as root, by apt-get, on Debian and its kin. Elsewhere
it names the command. The package's own service is kept from running, now and at the next boot.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ops.system.console import OperatorError, run_command, say

BINARIES = ("prometheus", "promtool")
POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian asks this program before a package may start its service (invoke-rc.d(8))."""
POLICY_DENIES = "#!/bin/sh\nexit 101\n"


def missing() -> list[str]:
    """Return which of Prometheus' programs are not on PATH."""
    return [name for name in BINARIES if shutil.which(name) is None]


def ensure() -> None:
    """Make sure that Prometheus is installed.

    Raises:
        OperatorError: It is missing and can't be installed from here; says the one command.
    """
    if not missing():
        return
    if not _apt_can_install():
        raise OperatorError(f"Prometheus is not installed: {one_command()}")
    say("Prometheus is not installed: installing it with apt-get (its own service stays off) …")
    _apt_install()
    if missing():
        raise OperatorError(f"apt-get ran, yet {' and '.join(missing())} is not on PATH")


def one_command() -> str:
    """Return the command that installs Prometheus on this kind of machine, in words."""
    for manager, command in {
        "brew": "brew install prometheus",
        "apt-get": "sudo apt-get install prometheus",
        "dnf": "sudo dnf install golang-github-prometheus",
        "pacman": "sudo pacman -S prometheus",
        "apk": "sudo apk add prometheus",
    }.items():
        if shutil.which(manager):
            return f"run `{command}`"
    return "put `prometheus` and `promtool` on PATH (https://prometheus.io/download)"


def _apt_can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _apt_install() -> None:
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "prometheus"]
    with _services_kept_off():
        for command in (["apt-get", "update", "-q"], install):
            done = subprocess.run(  # noqa: S603 (fixed commands)
                command, env=environ, capture_output=True, text=True, check=False
            )
            if done.returncode:
                tail = done.stderr.strip() or done.stdout.strip()
                raise OperatorError(f"`{' '.join(command)}` failed:\n{tail}")


@contextmanager
def _services_kept_off() -> Iterator[None]:
    if POLICY.exists():  # someone already decides; the service is disabled below all the same
        yield
    else:
        POLICY.write_text(POLICY_DENIES, encoding="ascii")
        POLICY.chmod(0o755)
        try:
            yield
        finally:
            POLICY.unlink()
    if shutil.which("systemctl"):
        subprocess.run(
            ["systemctl", "disable", "--now", "prometheus"],  # noqa: S607 (as the admin has it)
            capture_output=True,
            check=False,
        )


def _main() -> int:
    ensure()
    return 0


if __name__ == "__main__":
    sys.exit(run_command(_main))
