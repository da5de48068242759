"""The lock files match their inputs, checked offline; and the command that writes them."""

import re
from pathlib import Path

import pytest

from ops.checkout import ROOT
from ops.locks import (
    FOLDERS,
    INPUT,
    LOCK,
    Locks,
    normalised,
    pins,
    with_versions,
    without_versions,
)
from ops.processes.runner import Result
from ops.terminal.console import OperatorError
from tests.ops.scripted_runner import ScriptedRunner

BLOCK = re.compile(r"(?m)^(?=\S)(?!#)")
EXAMPLE = """\
# Why these.
-r other.in
Some_Package==1.0
with-extra[proxy]==2.0  # reason
"""


def lock(folder: str) -> str:
    return (ROOT / folder / LOCK).read_text(encoding="utf-8")


def inputs(folder: str) -> dict[str, str]:
    """Return the pins of a folder's own input, without those of the inputs that it includes."""
    return pins((ROOT / folder / INPUT).read_text(encoding="utf-8"))


def entries(folder: str) -> list[str]:
    """Return a lock's packages, each with its hashes and the comments that name its origin."""
    return BLOCK.split(lock(folder))[1:]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_lock_has_the_versions_that_its_input_pins(folder: str) -> None:
    locked = pins(lock(folder))
    pinned = inputs(folder)
    assert {name: locked.get(name) for name in pinned} == pinned, "run `make lock`"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_lock_has_no_package_that_its_input_has_dropped(folder: str) -> None:
    source = f"-r {folder}/{INPUT}".replace(" ./", " ")
    required = {next(iter(pins(entry))) for entry in entries(folder) if _comes_from(entry, source)}
    assert required == inputs(folder).keys(), "run `make lock`"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_package_is_locked_once_by_version_and_hash(folder: str) -> None:
    names = [next(iter(pins(entry)), entry) for entry in entries(folder)]
    assert sorted(set(names)) == sorted(names)
    assert [entry for entry in entries(folder) if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_lock_does_not_name_the_index_it_was_resolved_with(folder: str) -> None:
    assert (
        re.findall(r"(?m)^(?:-i|-f|--(?:extra-)?index-url|--find-links).*|://.*", lock(folder))
        == []
    )


@pytest.mark.parametrize(
    ("folder", "other"),
    [(folder, other) for folder, others in FOLDERS.items() for other in others],
)
def test_locks_that_are_installed_together_have_the_same_versions(folder: str, other: str) -> None:
    one, two = pins(lock(folder)), pins(lock(other))
    both = one.keys() & two.keys()
    assert both
    assert {name: one[name] for name in both} == {name: two[name] for name in both}


def test_the_root_lock_has_every_package_of_the_proxy() -> None:
    """Pulumi installs from it, and the demo runs the proxy with it."""
    assert pins(lock("proxy_service")).keys() <= pins(lock(".")).keys()


def test_the_stack_needs_no_package_of_the_engine() -> None:
    """The engine has no wheel for some machines that can run the stack, such as Intel Macs."""
    assert "mistralrs" not in pins(lock("."))


def test_the_tests_install_every_package_of_stack_and_engine() -> None:
    for folder in (".", "embedded_engine"):
        assert pins(lock(folder)).keys() <= pins(lock("tests")).keys()


@pytest.mark.parametrize("folder", ["proxy_service", "embedded_engine"])
def test_images_install_nothing_whose_hash_is_not_locked(folder: str) -> None:
    dockerfile = (ROOT / folder / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    (installation,) = re.findall(r"pip install .*", dockerfile)
    assert {"--require-hashes", "-r", LOCK} <= set(installation.split())


def test_every_requirements_file_is_a_lock_or_its_input() -> None:
    found = {
        path.parent.relative_to(ROOT)
        for pattern in ("*requirements*.txt", "*/*requirements*.txt", "*/*/*requirements*.txt")
        for path in ROOT.glob(pattern)
        if not path.relative_to(ROOT).parts[0].startswith(".")
    }
    assert found == set(map(Path, FOLDERS))


def test_pins_can_be_removed_and_set_again() -> None:
    assert without_versions(EXAMPLE) == EXAMPLE.replace("==1.0", "").replace("==2.0", "")
    newer = with_versions(EXAMPLE, {"some-package": "1.1", "with-extra": "3.0"})
    assert newer == EXAMPLE.replace("==1.0", "==1.1").replace("==2.0", "==3.0")
    assert pins(newer) == {"some-package": "1.1", "with-extra": "3.0"}


def test_names_are_compared_as_the_index_does() -> None:
    assert normalised("Some._Package") == "some-package"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in FOLDERS:
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / INPUT).write_text("package==1.0\n", encoding="utf-8")
        (tmp_path / folder / LOCK).write_text("package==1.1 \\\n    --hash=sha256:00\n")
    return tmp_path


def test_an_upgrade_sets_the_inputs_pins_to_the_resolved_versions(checkout: Path) -> None:
    runner = ScriptedRunner()

    Locks(runner, checkout).refresh(upgrade=True)

    assert {(checkout / folder / INPUT).read_text() for folder in FOLDERS} == {"package==1.1\n"}


def test_an_upgrade_that_fails_leaves_the_inputs_alone(checkout: Path) -> None:
    runner = ScriptedRunner({"uv": Result(1, stderr="no such release")})

    with pytest.raises(OperatorError, match=r"requirements\.txt can't be resolved:\nno such"):
        Locks(runner, checkout).refresh(upgrade=True)

    assert {(checkout / folder / INPUT).read_text() for folder in FOLDERS} == {"package==1.0\n"}


def _comes_from(entry: str, source: str) -> bool:
    """Return whether uv's comment names an input as one of the entry's origins."""
    comments = [line.strip().removeprefix("#").strip() for line in entry.splitlines()[1:]]
    return any(line.removeprefix("via ") == source for line in comments)
