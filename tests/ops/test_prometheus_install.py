from pathlib import Path

import pytest

from ops.system.console import OperatorError
from ops.system.prometheus_install import ensure, missing


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)


def test_what_is_there_is_left_alone(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(programs, "prometheus", "promtool")

    ensure()

    assert capsys.readouterr().out == ""


def test_one_of_the_two_is_not_enough(programs: Path) -> None:
    put(programs, "prometheus")

    assert missing() == ["promtool"]


@pytest.mark.parametrize(
    ("manager", "advice"),
    [
        ("brew", "run `brew install prometheus`"),
        ("dnf", "run `sudo dnf install golang-github-prometheus`"),
        (None, "put `prometheus` and `promtool` on PATH"),
    ],
)
def test_where_it_cannot_be_installed_one_command_is_named(
    programs: Path, manager: str | None, advice: str
) -> None:
    if manager:
        put(programs, manager)

    with pytest.raises(OperatorError, match=advice):
        ensure()
