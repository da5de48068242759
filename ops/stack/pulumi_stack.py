"""One Pulumi stack through the CLI: run commands on it, read its outputs and state."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.topology import DEFAULT_STACK
from ops.stack.backend import choose_backend
from ops.stack.config import read_stack_config
from ops.stack.pulumi_cli import QUIET, find_cli, path_with
from ops.system.console import OperatorError
from ops.system.paths import ROOT, TOOLS_DIR
from ops.system.runner import Result, Runner, SystemRunner

CUT_OFF = "failed to load checkpoint"
"""What Pulumi says of a state whose writing was cut off; its file backends write in place."""
CUT_OFF_REMEDY = (
    "\nA command was killed while it wrote the state. The one before lies beside it: in the "
    "backend's folder\n(.pulumi-state here, unless you have one of your own), under "
    ".pulumi/stacks, copy STACK.json.bak over\nSTACK.json. Then run `make up` again."
)


@dataclass(frozen=True)
class State:
    """What Pulumi remembers of a stack.

    Attributes:
        deployment: The part of an exported state that has this name.
    """

    deployment: Mapping[str, Any]

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """Every resource of a Pulumi type, with its ``urn``, ``id`` and ``outputs``."""
        return [entry for entry in self.deployment.get("resources", []) if entry["type"] == kind]

    def begun(self, kind: str) -> list[dict[str, Any]]:
        """Resources of a Pulumi type whose creation has begun and not ended, with ``inputs``."""
        operations = self.deployment.get("pending_operations", [])
        creating = [entry["resource"] for entry in operations if entry["type"] == "creating"]
        return [entry for entry in creating if entry["type"] == kind]


@dataclass(frozen=True)
class PulumiStack:
    """A stack of this project.

    Attributes:
        runner: Starts the CLI.
        cli: Path of the Pulumi CLI.
        name: The stack's name.
        backend: Variables that lead to the state.
    """

    runner: Runner
    cli: str
    name: str
    backend: Mapping[str, str]

    @property
    def environ(self) -> dict[str, str]:
        """Variables for every command."""
        return {**QUIET, "PATH": path_with(self.cli), **self.backend}

    def capture(self, *arguments: str) -> Result:
        """Run a command on the stack and keep its output."""
        return self.runner.capture(self._command(arguments), self.environ)

    def show(self, *arguments: str) -> int:
        """Run a command on the stack in the operator's terminal; return its exit code."""
        return self.runner.show(self._command(arguments), self.environ)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [self.cli, *arguments, "--stack", self.name]

    def select(self, *, create: bool) -> bool:
        """Make it the current stack, as the commands by hand expect; False when there is none."""
        command = [self.cli, "stack", "select", self.name, "--non-interactive"]
        selected = self.runner.capture([*command, *(["--create"] if create else [])], self.environ)
        if create and not selected.ok:
            raise OperatorError(f"the stack {self.name} can't be created: {selected.reason}")
        return selected.ok

    def outputs(self) -> dict[str, str] | None:
        """Outputs with secrets shown; None when the stack has never been up."""
        answer = self.capture("stack", "output", "--json", "--show-secrets")
        outputs: dict[str, str] = json.loads(answer.stdout) if answer.ok else {}
        return outputs or None

    def state(self) -> State:
        """Read the state. Raises OperatorError where that fails; says what to do."""
        exported = self.capture("stack", "export")
        if not exported.ok:
            why = f"the state of {self.name} can't be read: {exported.reason}"
            raise OperatorError(f"{why}{CUT_OFF_REMEDY if CUT_OFF in why else ''}")
        return State(json.loads(exported.stdout)["deployment"])


def find_stack(
    name: str, root: Path, runner: Runner, environ: Mapping[str, str]
) -> PulumiStack | None:
    """Return a stack to ask, installing and creating nothing; None without a CLI or a backend."""
    required = read_stack_config(root, name).required_cli
    cli = find_cli(runner, root / TOOLS_DIR.name, required)
    if cli is None:
        return None
    backend = choose_backend(runner, cli, root, environ)
    return None if backend is None else PulumiStack(runner, cli, name, backend)


def read_outputs(name: str | None) -> dict[str, str] | None:
    """Return the outputs of a stack that is up.

    Args:
        name: The stack; None takes the default one, and then its absence is no error.

    Raises:
        OperatorError: The named stack has no outputs.
    """
    stack = find_stack(name or DEFAULT_STACK, ROOT, SystemRunner(), os.environ)
    outputs = stack.outputs() if stack else None
    if name is not None and outputs is None:
        raise OperatorError(f"the stack {name} is not up; `make up STACK={name}` brings it up")
    return outputs
