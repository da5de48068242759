from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.prometheus import programs
from ops.prometheus.fetching import FetchError
from ops.prometheus.programs import Programs, ensure_programs, find_programs, require_programs
from ops.terminal.console import OperatorError
from tests.ops.prometheus.stand_ins import put_programs


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that is the only one on PATH."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Return the folder for fetched programs, which doesn't exist yet."""
    return tmp_path / "tools" / "prometheus"


@dataclass
class Source:
    """A source of programs of one version, or of none."""

    title: str
    version: str | None = None
    why: str = "no route to host"

    def fetch_into(self, folder: Path) -> None:
        if self.version is None:
            raise FetchError(self.why)
        put_programs(folder / "bin", self.version)


def programs_in(folder: Path) -> Programs:
    return Programs(str(folder / "prometheus"), str(folder / "promtool"))


@pytest.mark.parametrize("version", ["2.42.0", "2.42.0+ds", "2.100.1", "3.0.0-rc.1", "3.16.0"])
def test_a_good_version_on_path_is_used(
    version: str, path: Path, tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_programs(path, version)

    assert ensure_programs(folder=tools, sources=[Source("none")]) == programs_in(path)

    assert capsys.readouterr().out == ""
    assert not tools.parent.exists()


@pytest.mark.parametrize("version", ["2.41.0", "2.9.2", "1.8.2", "unknown"])
def test_an_older_version_on_path_is_not(version: str, path: Path, tools: Path) -> None:
    put_programs(path, version)

    assert find_programs(folder=tools) is None


def test_one_of_the_two_programs_is_not_enough(path: Path, tools: Path) -> None:
    put_programs(path, "3.0.0", ("prometheus",))

    assert find_programs(folder=tools) is None


def test_a_program_that_does_not_start_is_not_used(path: Path, tools: Path) -> None:
    put_programs(path, "3.0.0")
    (path / "promtool").write_bytes(b"\x7fELF of another processor")

    assert find_programs(folder=tools) is None


def test_programs_are_fetched_once(
    path: Path, tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_programs(path, "2.41.0")

    fetched = ensure_programs(folder=tools, sources=[Source("the archive", "2.42.0")])

    assert fetched == programs_in(tools / "bin")
    assert "from the archive" in capsys.readouterr().out
    assert ensure_programs(folder=tools, sources=[Source("none")]) == fetched
    assert list(tools.parent.iterdir()) == [tools]


def test_the_next_source_is_tried_where_one_fails(path: Path, tools: Path) -> None:
    assert not list(path.iterdir())
    sources = [Source("the archive"), Source("the release", "3.16.0")]

    assert ensure_programs(folder=tools, sources=list(sources)) == programs_in(tools / "bin")


@pytest.mark.parametrize(
    ("manager", "what_to_do"),
    [
        ("brew", "\nRun `brew install prometheus`, or put `prometheus` and `promtool` on PATH"),
        ("dnf", "\nRun `sudo dnf install golang-github-prometheus`, or put `prometheus` and"),
        (None, "\nPut `prometheus` and `promtool` on PATH (https://prometheus.io/download)"),
    ],
)
def test_a_failure_names_every_reason_and_what_to_do(
    manager: str | None, what_to_do: str, path: Path, tools: Path
) -> None:
    if manager:
        put_programs(path, "1.0", (manager,))

    with pytest.raises(OperatorError) as error:
        ensure_programs(
            folder=tools,
            sources=[Source("the archive", why="its Prometheus 2.31 is too old"), Source("GitHub")],
        )

    assert str(error.value).startswith("Prometheus 2.42 or later is not on PATH and can't be")
    assert "from the archive: its Prometheus 2.31 is too old" in str(error.value)
    assert "from GitHub: no route to host" in str(error.value)
    assert what_to_do in str(error.value)
    assert list(tools.parent.iterdir()) == []


@pytest.mark.parametrize("version", ["2.41.0", "unknown"])
def test_fetched_programs_that_are_not_good_replace_nothing(
    version: str, path: Path, tools: Path
) -> None:
    put_programs(path, "1.0", ("apk",))
    put_programs(tools / "bin", "2.40.0")

    with pytest.raises(OperatorError, match=r"doesn't run here, or is older than 2\.42"):
        ensure_programs(folder=tools, sources=[Source("the archive", version)])

    assert "2.40.0" in (tools / "bin" / "promtool").read_text()


def test_what_needs_prometheus_says_how_to_get_it(
    path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not list(path.iterdir())
    monkeypatch.setattr(programs, "FOLDER", tools)

    with pytest.raises(OperatorError, match="not on PATH: run `make prometheus`"):
        require_programs()
