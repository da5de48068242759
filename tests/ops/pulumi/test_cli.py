import subprocess
from pathlib import Path

import pytest

from ops.processes.runner import Result
from ops.pulumi.settings import read_stack_config
from ops.stack.commands import Operator
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import ScriptedRunner
from tests.ops.stack.operating import operator

# As the CLI prints it without a network, with fewer attempts.
WITHOUT_NETWORK = """\
[resource plugin docker-5.1.0] installing
warning: Error downloading plugin: Get "https://get.pulumi.com/x": dial tcp: no such host
Will retry in 80ms [1/5]
warning: Error downloading plugin: Get "https://get.pulumi.com/x": dial tcp: no such host
Will retry in 160ms [2/5]
error: [resource plugin docker-5.1.0] downloading from : docker-5.1.0: failed all 5 attempts
"""


def test_a_plugin_that_cannot_be_downloaded_is_named_with_the_reason_and_what_to_do(
    root: Path,
) -> None:
    """``pulumi install`` would cancel the others and report "context canceled"."""
    runner = ScriptedRunner(
        {"pulumi plugin install": Result(255, "", WITHOUT_NETWORK)},
        programs={"docker": "/usr/bin/docker", "pulumi": "/opt/bin/pulumi"},
    )

    with pytest.raises(OperatorError) as raised:
        operator(root, runner).check()

    told = str(raised.value)
    assert "docker-5.1.0] downloading" in told
    assert told.count("dial tcp: no such host") == 1
    assert "Will retry" not in told
    for remedy in ("HTTPS_PROXY", "GITHUB_TOKEN", "pulumi plugin install resource NAME VERSION"):
        assert remedy in told
    assert not any(words.startswith("pulumi install") for words in runner.commands)


def test_the_installer_that_fails_is_quoted(root: Path) -> None:
    def broken(_folder: Path) -> None:
        raise subprocess.CalledProcessError(1, "install.sh", output=b"disk full")

    runner = ScriptedRunner(programs={"docker": "/usr/bin/docker"})
    command = Operator(read_stack_config(root), runner, root, {}, install_cli=broken)

    with pytest.raises(OperatorError, match=r"no Pulumi CLI .* installer .* failed: disk full"):
        command.check()
