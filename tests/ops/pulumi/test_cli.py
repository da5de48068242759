import subprocess
from pathlib import Path

import pytest

from ops.pulumi.settings import read_stack_config
from ops.stack.commands import Operator
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import ScriptedRunner


def test_the_installer_that_fails_is_quoted(root: Path) -> None:
    def broken(_folder: Path) -> None:
        raise subprocess.CalledProcessError(1, "install.sh", output=b"disk full")

    runner = ScriptedRunner(programs={"docker": "/usr/bin/docker"})
    command = Operator(read_stack_config(root), runner, root, {}, install_cli=broken)

    with pytest.raises(OperatorError, match=r"no Pulumi CLI .* installer .* failed: disk full"):
        command.check()
