"""The stack that is up, found without installing or creating anything."""

import os
from collections.abc import Mapping
from pathlib import Path

from infra.topology import DEFAULT_STACK
from ops.checkout import ROOT, TOOLS_DIR
from ops.processes.runner import Runner, SystemRunner
from ops.pulumi.backend import choose_backend
from ops.pulumi.cli import find_cli
from ops.pulumi.settings import read_stack_config
from ops.pulumi.stack import PulumiStack
from ops.terminal.console import OperatorError


def find_stack(
    name: str, root: Path, runner: Runner, environ: Mapping[str, str]
) -> PulumiStack | None:
    """Return a stack without installing or creating anything; None without CLI or backend."""
    required = read_stack_config(root, name).required_cli
    cli = find_cli(runner, root / TOOLS_DIR.name, required)
    if cli is None:
        return None
    backend = choose_backend(runner, cli, root, environ)
    return None if backend is None else PulumiStack(runner, cli, name, backend)


def read_outputs(name: str | None) -> dict[str, str] | None:
    """Return the outputs of a stack that is up.

    Args:
        name: The stack; None for the default one, which need not be up.

    Returns:
        None when the default stack is not up.

    Raises:
        OperatorError: The named stack is not up.
    """
    stack = find_stack(name or DEFAULT_STACK, ROOT, SystemRunner(), os.environ)
    outputs = stack.outputs() if stack else None
    if name is not None and outputs is None:
        raise OperatorError(f"the stack {name} is not up; start it with `make up STACK={name}`")
    return outputs
