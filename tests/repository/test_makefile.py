"""The Makefile in a folder of its own, with a Python that only records its arguments."""

import os
import subprocess
from pathlib import Path

import pytest

from ops.checkout import ROOT

LOCKS = (
    "requirements.txt",
    "embedded_engine/requirements.txt",
    "tests/requirements.txt",
    "tools/requirements.txt",
)
INSTALL = "pip install --quiet --disable-pip-version-check --require-hashes -r"
RUNNING = ["demo", "up", "down", "preview", "logs", "status", "verify", "drill"]
DEVELOPING = [
    "test",
    "test-agents",
    "test-reverse-proxies",
    "attacks",
    "e2e",
    "lint",
    "types",
    "format",
    "render",
    "pin-images",
]
SUPPLYING = ["lock", "audit", "sbom", "clean"]

# A timestamp later than any made now: 2100-01-01.
LATER = 4102444800


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "STACK"))
    }
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env={**environ, "LOG": str(folder / "asked")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    for name in LOCKS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def with_venv(checkout: Path) -> Path:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$*" >>"$LOG"\n')
    python.chmod(0o755)
    return checkout


def asked(checkout: Path) -> list[str]:
    log = checkout / "asked"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [line.removeprefix("-m ") for line in lines if line.startswith("-m ")]


def test_make_alone_lists_every_command_and_variable() -> None:
    listed = make(ROOT).stdout

    assert [
        name for name in [*RUNNING, *DEVELOPING, *SUPPLYING] if f"\n  {name} " not in listed
    ] == []
    for variable in ("MODEL=", "PROXY_PORT=", "ENGINE_PORT=", "PROMETHEUS_PORT=", "STACK="):
        assert f"\n  {variable} " in listed


def test_an_old_python_is_refused_with_what_is_needed(checkout: Path) -> None:
    old = checkout / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    done = make(checkout, "verify", f"PYTHON={old}")

    assert done.returncode != 0
    assert f"error: {old} is not Python 3.11 or later" in done.stderr
    assert not (checkout / ".venv").exists()


def test_what_a_fresh_clone_installs_is_not_part_of_a_command_s_output(checkout: Path) -> None:
    """The output of `make env` is evaluated by a shell."""
    new = checkout / "new-python"
    new.write_text(
        """#!/bin/sh
case "$*" in -m*) echo "printed by $*";; esac
case "$*" in *venv*) mkdir -p .venv/bin && cp "$0" .venv/bin/python;; esac
"""
    )
    new.chmod(0o755)

    done = make(checkout, "env", f"PYTHON={new}")

    assert (done.returncode, done.stdout) == (0, "printed by -m ops.stack env\n")
    assert f"Creating .venv with {new}" in done.stderr
    assert "printed by -m pip install" in done.stderr


def test_running_needs_no_test_tools(with_venv: Path) -> None:
    make(with_venv, "verify")

    assert asked(with_venv) == [
        f"{INSTALL} requirements.txt",
        "ops.verify",
    ]


def test_only_the_demo_and_the_soak_test_install_the_engine(with_venv: Path) -> None:
    make(with_venv, "up")
    assert asked(with_venv) == [f"{INSTALL} requirements.txt", "ops.stack up"]

    make(with_venv, "demo")
    assert asked(with_venv) == [f"{INSTALL} embedded_engine/requirements.txt", "ops.demo"]

    make(with_venv, "soak")
    assert asked(with_venv)[-1] == "tests.soak"


def test_the_demo_is_refused_on_an_intel_mac_before_anything_is_installed(
    with_venv: Path,
) -> None:
    system = with_venv / "system"
    system.mkdir()
    (system / "uname").write_text("#!/bin/sh\n[ $1 = -s ] && echo Darwin || echo x86_64\n")
    (system / "uname").chmod(0o755)

    done = make(with_venv, "demo", f"PATH={system}:{os.environ['PATH']}")

    assert "no Python package for Intel Macs" in done.stderr
    assert "ops.demo" not in asked(with_venv)


def test_an_installation_is_done_once(with_venv: Path) -> None:
    make(with_venv, "verify")
    asked(with_venv)

    make(with_venv, "verify")

    assert asked(with_venv) == ["ops.verify"]


def test_a_changed_lock_installs_again(with_venv: Path) -> None:
    make(with_venv, "verify")
    asked(with_venv)
    os.utime(with_venv / "requirements.txt", (LATER, LATER))

    make(with_venv, "verify")

    assert asked(with_venv)[0].endswith("-r requirements.txt")


def test_the_tests_install_both_levels_and_run_all_checks(with_venv: Path) -> None:
    make(with_venv, "test")

    commands = asked(with_venv)
    assert [line for line in commands if line.startswith("pip")] == [
        f"{INSTALL} requirements.txt",
        f"{INSTALL} tests/requirements.txt",
    ]
    assert {line.split()[0] for line in commands} >= {"ruff", "mypy", "pytest"}
    assert "pytest -q -m not e2e and not reverse_proxy and not agent" in commands


def test_verify_checks_a_stack_only_when_one_is_named(with_venv: Path) -> None:
    make(with_venv, "verify", "STACK=prod", "ARGS=--json")

    assert asked(with_venv)[-1] == "ops.verify --stack prod --json"


@pytest.mark.parametrize("value", ["it's", "a b", "$HOME", "x'; touch escaped; '"])
@pytest.mark.parametrize(
    ("command", "variable", "given"),
    [
        ("logs", "SERVICE", "ops.stack logs {}"),
        ("verify", "STACK", "ops.verify --stack {}"),
        ("drill", "STACK", "ops.drill --stack {}"),
        ("soak", "MODEL", "tests.soak --model {}"),
        ("soak", "MINUTES", "tests.soak --minutes {}"),
        ("attacks", "SECONDS", "tests.attacks --seconds {}"),
        ("fuzz", "MINUTES", "tests.fuzz --minutes {}"),
    ],
)
def test_a_variable_stays_one_word_whatever_is_in_it(
    with_venv: Path, command: str, variable: str, given: str, value: str
) -> None:
    """As make sees it: a dollar sign is doubled on its command line."""
    make(with_venv, command, f"{variable}={value.replace('$', '$$')}")

    assert asked(with_venv)[-1] == given.format(value)
    assert not (with_venv / "escaped").exists()


def test_sbom_fails_if_the_list_of_any_image_cannot_be_written(
    with_venv: Path,
) -> None:
    tools = with_venv / ".tools" / "python"
    lister = tools / "bin" / "cyclonedx-py"
    lister.parent.mkdir(parents=True)
    (tools / ".installed").touch()
    os.utime(tools / ".installed", (LATER, LATER))
    lister.write_text('#!/bin/sh\ncase "$*" in *proxy_service*) exit 3;; esac\n')
    lister.chmod(0o755)

    assert make(with_venv, "sbom").returncode != 0
