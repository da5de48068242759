"""Where ``make up`` keeps the state."""

import stat
from pathlib import Path

import pytest

from ops.processes.runner import Result
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import ScriptedRunner
from tests.ops.stack.operating import operator


def test_without_a_backend_the_state_is_kept_in_the_checkout_with_a_passphrase(root: Path) -> None:
    runner = ScriptedRunner()

    operator(root, runner).up()

    passphrase = root / ".pulumi-passphrase"
    assert runner.environs[-1]["PULUMI_BACKEND_URL"] == (root / ".pulumi-state").as_uri()
    assert runner.environs[-1]["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(passphrase)
    assert stat.S_IMODE(passphrase.stat().st_mode) == 0o600
    assert len(passphrase.read_text()) > 32


def test_the_passphrase_is_made_once(root: Path) -> None:
    operator(root, ScriptedRunner()).up()
    first = (root / ".pulumi-passphrase").read_text()

    operator(root, ScriptedRunner()).up()

    assert (root / ".pulumi-passphrase").read_text() == first


def test_a_passphrase_in_the_environment_is_used_instead_of_a_file(root: Path) -> None:
    runner = ScriptedRunner()

    operator(root, runner, {"PULUMI_CONFIG_PASSPHRASE": "mine"}).up()

    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in runner.environs[-1]
    assert not (root / ".pulumi-passphrase").exists()


def test_a_logged_in_user_keeps_their_backend(root: Path) -> None:
    who = Result(0, '{"user": "ada", "url": "https://app.pulumi.com/ada"}')
    runner = ScriptedRunner({"pulumi whoami": who})

    operator(root, runner).up()

    assert not any("PULUMI_BACKEND_URL" in environ for environ in runner.environs)
    assert not (root / ".pulumi-state").exists()
    assert not (root / ".pulumi-passphrase").exists()


def test_a_file_backend_of_the_user_is_kept_and_gets_a_passphrase(root: Path) -> None:
    runner = ScriptedRunner({"pulumi whoami": Result(0, '{"url": "file:///srv/state"}')})

    operator(root, runner, {"PULUMI_BACKEND_URL": "file:///srv/state"}).up()

    assert "PULUMI_BACKEND_URL" not in runner.environs[-1]
    assert (root / ".pulumi-passphrase").exists()


def test_a_backend_that_cannot_be_reached_is_not_replaced_by_another(root: Path) -> None:
    runner = ScriptedRunner({"pulumi whoami": Result(255, "", "error: dial tcp: no such host")})

    with pytest.raises(OperatorError, match=r"backend can't be reached: .*no such host"):
        operator(root, runner).up()

    assert not (root / ".pulumi-state").exists()
