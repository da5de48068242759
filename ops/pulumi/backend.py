"""Where Pulumi keeps the state: the user's backend, or a folder of the checkout."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from ops.processes.runner import Runner
from ops.pulumi.cli import QUIET
from ops.terminal.console import OperatorError

STATE_FOLDER = ".pulumi-state"
PASSPHRASE_FILE = ".pulumi-passphrase"  # noqa: S105 (a file's name)
PASSPHRASE_BYTES = 32

# Part of `pulumi whoami`'s error for a user who is not logged in.
NOT_LOGGED_IN = "PULUMI_ACCESS_TOKEN must be set"
OWN_PASSPHRASE = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


def choose_backend(
    runner: Runner, cli: str, root: Path, environ: Mapping[str, str]
) -> dict[str, str] | None:
    """Return the variables that point Pulumi to its backend, without changing anything.

    Returns:
        None when there is no backend yet; ``create_local_backend`` makes one.

    Raises:
        OperatorError: The user has a backend, but it can't be reached.
    """
    asked = runner.capture([cli, "whoami", "--json", "--non-interactive"], QUIET)
    if asked.ok:
        remote = str(json.loads(asked.stdout).get("url", "")).startswith("http")
        return {} if remote else _passphrase_variables(root, environ)
    if NOT_LOGGED_IN not in asked.stderr or "PULUMI_BACKEND_URL" in environ:
        raise OperatorError(f"the Pulumi backend can't be reached: {asked.reason}")
    if not (root / STATE_FOLDER).is_dir():
        return None
    return _local_variables(root, environ)


def create_local_backend(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Make the folder for the state, and return the variables that point Pulumi to it."""
    (root / STATE_FOLDER).mkdir(exist_ok=True)
    return _local_variables(root, environ)


def ensure_passphrase(variables: Mapping[str, str]) -> None:
    """Create the passphrase file that ``variables`` name, readable only by its owner."""
    name = variables.get("PULUMI_CONFIG_PASSPHRASE_FILE")
    if name is None or Path(name).exists():
        return
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(PASSPHRASE_BYTES))


def _local_variables(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    state = (root / STATE_FOLDER).as_uri()
    return {"PULUMI_BACKEND_URL": state, **_passphrase_variables(root, environ)}


def _passphrase_variables(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    if any(name in environ for name in OWN_PASSPHRASE):
        return {}
    return {"PULUMI_CONFIG_PASSPHRASE_FILE": str(root / PASSPHRASE_FILE)}
