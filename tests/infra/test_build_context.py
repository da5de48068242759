"""What a build context has, and what doesn't change it."""

import os
import shutil
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from infra.build_context import staged
from tests.infra.pulumi_mocks import IMAGE, deploy
from tests.processes import ROOT

FOLDERS = ("proxy_service", "embedded_engine", "infra/mistralrs")
COPIED = shutil.ignore_patterns("__pycache__")

# What a checkout collects, by its path in the folder of an image.
STRAY = {
    ".DS_Store": b"\0\0\0\1Bud1",
    "Thumbs.db": b"thumbnails",
    "._app.py": b"AppleDouble",
    ".app.py.swp": b"b0VIM 9.0",
    "4913": b"",
    "app.py~": b"backup",
    "#app.py#": b"autosave",
    "app.py.orig": b"before a merge",
    "app.py.rej": b"rejected",
    "app 2.py": b"a copy of a file manager",
    "app (conflicted copy).py": b"a copy of a synchronised folder",
    "app.cpython-313.pyc": b"compiled",
    "__pycache__/app.cpython-313.pyc": b"compiled",
    "server/__pycache__/app.py": b"not a module",
    "server/.idea/workspace.xml": b"<project/>",
    ".vscode/settings.json": b"{}",
    ".ipynb_checkpoints/app.py": b"checkpoint",
    ".env": b"API_KEY=secret",
    "venv/lib/python3.13/site-packages/sanic/__init__.py": b"a virtual environment",
    "node_modules/x/index.js": b"",
    "notes.md": b"notes",
    "requirements.txt.bak": b"",
    "Dockerfile.old": b"FROM scratch",
    "core": b"core dump",
    "docker-compose.yml": b"services: {}",
}


@pytest.fixture(name="checkout")
def _checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a checkout that has the folders of all images, made with umask 022."""
    before = os.umask(0o022)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=COPIED)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    os.umask(before)


def _state(folder: str) -> dict[str, tuple[int, float, bytes]]:
    """Return what a builder sees of a folder's context: modes, times and contents by path."""
    copy = Path(staged(folder))
    return {
        path.relative_to(copy).as_posix(): (
            path.stat().st_mode,
            path.stat().st_mtime,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in [copy, *copy.rglob("*")]
    }


def _with_stray_files(folder: Path) -> None:
    for name, content in STRAY.items():
        if not (folder / "__init__.py").exists() and name.startswith("server/"):
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / ".#app.py").symlink_to("me@host.4711:1700000000")
    (folder / "linked.py").symlink_to("/etc/hostname")
    (folder / "looping").symlink_to(".")
    os.mkfifo(folder / "pipe.py")


def _mode(file_mode: int, folder_mode: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(folder_mode if path.is_dir() else file_mode)

    return change


def _touched(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))


def _imported(folder: Path) -> None:
    """As running the program from the checkout does."""
    for package in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        (package / "__pycache__").mkdir()
        (package / "__pycache__" / "x.cpython-313.pyc").write_bytes(b"\0")


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(_with_stray_files, id="stray files"),
        pytest.param(_mode(0o664, 0o775), id="umask 002"),
        pytest.param(_mode(0o600, 0o700), id="umask 077"),
        pytest.param(_mode(0o755, 0o755), id="executable, as on a share"),
        pytest.param(_touched, id="times"),
        pytest.param(_imported, id="compiled modules"),
    ],
)
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_what_a_builder_sees_stays_the_same(
    checkout: Path, folder: str, change: Callable[[Path], None], umask: int
) -> None:
    before = _state(folder)
    os.umask(umask)
    change(checkout / folder)
    assert _state(folder) == before
    shutil.rmtree(checkout / ".run")
    assert _state(folder) == before


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_changed_dockerfile_is_a_changed_context(checkout: Path, folder: str) -> None:
    before = _state(folder)
    with (checkout / folder / "Dockerfile").open("a") as file:
        file.write("# changed\n")
    assert _state(folder) != before


@pytest.mark.parametrize("folder", ["proxy_service", "embedded_engine"])
def test_a_changed_new_renamed_or_deleted_module_is_a_changed_context(
    checkout: Path, folder: str
) -> None:
    module = checkout / folder / "healthcheck.py"
    seen = [_state(folder)]
    module.write_text("changed = True\n")
    seen.append(_state(folder))
    module.rename(module.with_name("renamed.py"))
    seen.append(_state(folder))
    module.with_name("renamed.py").unlink()
    seen.append(_state(folder))
    (checkout / folder / "wire" / "new.py").write_text("")
    seen.append(_state(folder))
    (checkout / folder / "requirements.txt").write_text("")
    seen.append(_state(folder))
    assert all(seen.count(state) == 1 for state in seen)


@pytest.mark.parametrize("folder", ["proxy_service", "embedded_engine"])
def test_the_context_has_every_module_that_git_has_and_what_the_dockerfile_copies(
    checkout: Path, folder: str
) -> None:
    modules = {
        path.relative_to(checkout / folder).as_posix() for path in (checkout / folder).rglob("*.py")
    }
    files = {path for path, (_, _, content) in _state(folder).items() if content}
    named = {"Dockerfile", ".dockerignore", "requirements.txt"}
    empty = {path for path in modules if not (checkout / folder / path).read_bytes()}
    assert files == (modules - empty) | named


@pytest.mark.parametrize("folder", ["proxy_service", "embedded_engine"])
@pytest.mark.usefixtures("checkout")
def test_dockerignore_excludes_no_module_and_no_folder_of_one(folder: str) -> None:
    """The provider would leave an excluded folder out, even if a pattern re-includes its files."""
    lines = Path(folder, ".dockerignore").read_text().splitlines()
    excluded = [line for line in lines if line and not line.startswith("#")]
    assert not [line for line in excluded if line.startswith("!")]
    for path in map(Path, _state(folder)):
        if path.name not in {"Dockerfile", ".dockerignore"}:
            for name in path.parts:
                assert not [line for line in excluded if fnmatch(name, line.removeprefix("**/"))]


def test_an_unchanged_copy_is_not_written_again(checkout: Path) -> None:
    """Another command may be building from it."""
    copy = checkout / staged("proxy_service")
    before = {path: path.stat().st_ino for path in copy.rglob("*")}
    staged("proxy_service")
    assert {path: path.stat().st_ino for path in copy.rglob("*")} == before


def test_what_is_added_to_the_copy_itself_is_removed(checkout: Path) -> None:
    before = _state("proxy_service")
    (checkout / ".run/images/proxy_service/.DS_Store").write_bytes(b"x")
    (checkout / ".run/images/proxy_service/server/link.py").symlink_to("app.py")
    assert _state("proxy_service") == before


def test_every_image_is_built_from_such_a_copy(checkout: Path) -> None:
    """The program registers the copy, which is there when the provider looks at it."""
    build = deploy().all_inputs(IMAGE)
    for inputs in build.values():
        context = inputs["build"]["context"]
        assert context.startswith(".run/images/")
        assert inputs["build"]["dockerfile"] == f"{context}/Dockerfile"
        assert (checkout / context / "Dockerfile").is_file()
