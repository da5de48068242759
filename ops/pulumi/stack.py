"""A Pulumi stack: run the CLI on it, read its outputs and its state."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.http_proxies import loopback_exemption
from ops.processes.runner import Interruption, Result, Runner
from ops.pulumi.cli import QUIET, path_with
from ops.terminal.console import OperatorError

# Part of Pulumi's error for a state that was written only in part.
#
# Its file backends write in place, so a command that is killed can leave one.
CORRUPT_STATE = "failed to load checkpoint"
CORRUPT_STATE_REMEDY = (
    "\nA command was killed while it wrote the state. To restore the state before it, copy "
    "STACK.json.bak over\nSTACK.json in .pulumi/stacks of the backend's folder (.pulumi-state "
    "unless you have a backend of\nyour own). Then run `make up` again."
)


@dataclass(frozen=True)
class State:
    """A stack's state, as Pulumi keeps it.

    Attributes:
        deployment: The ``deployment`` of an exported state.
    """

    deployment: Mapping[str, Any]

    def resources(self, kind: str) -> list[dict[str, Any]]:
        """Return the resources of a Pulumi type, with ``urn``, ``id`` and ``outputs``."""
        return [entry for entry in self.deployment.get("resources", []) if entry["type"] == kind]

    def begun(self, kind: str) -> list[dict[str, Any]]:
        """Return the resources of a Pulumi type whose creation hasn't ended, with ``inputs``."""
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
        backend: Variables that point the CLI to the state.
    """

    runner: Runner
    cli: str
    name: str
    backend: Mapping[str, str]

    @property
    def environ(self) -> dict[str, str]:
        """Variables for every command."""
        direct = loopback_exemption(os.environ)
        return {**QUIET, **direct, "PATH": path_with(self.cli), **self.backend}

    def capture(self, *arguments: str) -> Result:
        """Run a command on the stack and return its output."""
        return self.runner.capture(self._command(arguments), self.environ)

    def show(self, *arguments: str) -> int:
        """Run a command on the stack in the operator's terminal; return its exit code."""
        return self.runner.show(self._command(arguments), self.environ)

    def relay(
        self, write_line: Callable[[str], None], interruption: Interruption, *arguments: str
    ) -> int:
        """Run a command on the stack with each line of its output passed on.

        If it is interrupted, it ends when what it has begun has ended.
        """
        command = self._command(arguments)
        return self.runner.relay(command, self.environ, write_line, interruption)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [self.cli, *arguments, "--stack", self.name]

    def select(self, *, create: bool) -> bool:
        """Make it the CLI's current stack; return False when it doesn't exist."""
        command = [self.cli, "stack", "select", self.name, "--non-interactive"]
        selected = self.runner.capture([*command, *(["--create"] if create else [])], self.environ)
        if create and not selected.ok:
            raise OperatorError(f"the stack {self.name} can't be created: {selected.reason}")
        return selected.ok

    def outputs(self) -> dict[str, str] | None:
        """Return the outputs with their secrets; None when the stack has none."""
        result = self.capture("stack", "output", "--json", "--show-secrets")
        outputs: dict[str, str] = json.loads(result.stdout) if result.ok else {}
        return outputs or None

    def state(self) -> State:
        """Return the state. Raises OperatorError, which says what to do, if it can't be read."""
        exported = self.capture("stack", "export")
        if not exported.ok:
            why = f"the state of {self.name} can't be read: {exported.reason}"
            raise OperatorError(f"{why}{CORRUPT_STATE_REMEDY if CORRUPT_STATE in why else ''}")
        return State(json.loads(exported.stdout)["deployment"])
