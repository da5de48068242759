"""The Pulumi CLI and its plugins: those on PATH, or else installed for this checkout only."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CalledProcessError

from ops.clients.docker import DEMO_INSTEAD
from ops.processes.runner import Result, Runner
from ops.terminal.console import OperatorError, say

QUIET = {"PULUMI_SKIP_UPDATE_CHECK": "true"}

# Resource plugins that the program needs; their versions are those of the Python packages.
PLUGINS = ("docker", "grafana")

PLUGIN_REMEDY = (
    "They are downloaded from github.com, api.github.com and get.pulumi.com: check the network, "
    "and set HTTPS_PROXY\nif this machine needs a proxy. If GitHub answers 403 or 429, set "
    "GITHUB_TOKEN. Or download a plugin's archive\nelsewhere and run `pulumi plugin install "
    "resource NAME VERSION --file ARCHIVE`."
)


def find_cli(runner: Runner, tools: Path, required: str) -> str | None:
    """Return a CLI of version ``required`` or later, from PATH or ``tools``; None without one."""
    for candidate in (runner.which("pulumi"), str(_own_cli(tools))):
        if candidate and _version_of(runner, candidate) >= _numbers(required):
            return candidate
    return None


def ensure_cli(runner: Runner, tools: Path, required: str, install: Callable[[Path], None]) -> str:
    """Return a CLI as ``find_cli`` does, installing one into ``tools`` if there is none.

    Raises:
        OperatorError: It can't be installed; the message says why.
    """
    found = find_cli(runner, tools, required)
    if found:
        return found
    say(f"Installing the Pulumi CLI into {tools.name}/ …")
    try:
        install(tools / "pulumi")
    except (OSError, CalledProcessError) as error:
        output = getattr(error, "output", b"") or b""
        why = output.decode("utf-8", "replace").strip() or str(getattr(error, "reason", error))
        raise OperatorError(
            f"there is no Pulumi CLI of version {required} or later on PATH, and its installer "
            f"(https://get.pulumi.com) failed: {why} {DEMO_INSTEAD}"
        ) from error
    return str(_own_cli(tools))


def install_officially(folder: Path) -> None:
    """Run Pulumi's official installer for the version of the Python package ``pulumi``."""
    # Imported here, since the SDK takes a second to load and is rarely needed.
    from pulumi.automation import PulumiCommand  # noqa: PLC0415

    PulumiCommand.install(root=str(folder))


def ensure_plugins(runner: Runner, cli: str) -> None:
    """Install the resource plugins that the program needs unless they are on PATH.

    Not with ``pulumi install``: when one download fails, it cancels the others, and reports a
    cancelled one ("context canceled") instead of the one that failed.

    Raises:
        OperatorError: They can't be installed; the message says why.
    """
    path = {"PATH": path_with(cli)}
    if all(runner.which(f"pulumi-resource-{plugin}") for plugin in PLUGINS):
        return
    installed = runner.capture([cli, "plugin", "install", "--exact"], {**QUIET, **path})
    if not installed.ok:
        raise OperatorError(
            f"Pulumi's plugins ({', '.join(PLUGINS)}) can't be installed:\n"
            f"{_errors(installed)}\n{PLUGIN_REMEDY} {DEMO_INSTEAD}"
        )


def _errors(failed: Result) -> str:
    """Return the CLI's warnings, each once, and its errors.

    The reason of a download that failed several times is only in the warnings before the retries.
    """
    before, marker, errors = failed.stderr.partition("error: ")
    warnings = [line for line in before.splitlines() if line.startswith("warning: ")]
    return "\n".join([*dict.fromkeys(warnings), f"{marker}{errors}".strip() or failed.reason])


def path_with(cli: str) -> str:
    """Return PATH with the CLI's folder first, which also has its language host."""
    return os.pathsep.join([str(Path(cli).parent), os.environ.get("PATH", "")])


def _own_cli(tools: Path) -> Path:
    return tools / "pulumi" / "bin" / "pulumi"


def _version_of(runner: Runner, cli: str) -> tuple[int, ...]:
    try:
        return _numbers(runner.capture([cli, "version"], QUIET).stdout)
    except FileNotFoundError:
        return ()


def _numbers(version: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()
