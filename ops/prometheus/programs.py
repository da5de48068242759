"""Find ``prometheus`` and ``promtool``, or fetch them into ``.tools/prometheus``.

Nothing outside the checkout changes, and root isn't needed. Programs on PATH are preferred if they
are recent enough. On Debian and its derivatives the distribution's package is fetched, elsewhere
the official release.
"""

import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ops.checkout import TOOLS_DIR
from ops.processes.runner import Runner, SystemRunner
from ops.prometheus.debian import DebianPackage
from ops.prometheus.fetching import FetchError, bin_folder, version_numbers
from ops.prometheus.release import OfficialRelease, release_for
from ops.terminal.console import OperatorError, say

FOLDER: Final = TOOLS_DIR / "prometheus"

# The lowest supported version: Debian 12's, the oldest that the tests run with.
OLDEST: Final = (2, 42)

_PACKAGE_MANAGERS: Final = {
    "brew": "brew install prometheus",
    "dnf": "sudo dnf install golang-github-prometheus",
    "pacman": "sudo pacman -S prometheus",
    "apk": "sudo apk add prometheus",
}


@dataclass(frozen=True)
class Programs:
    """Paths of Prometheus' two programs."""

    prometheus: str
    promtool: str


class Source(Protocol):
    """Something that Prometheus can be fetched from."""

    @property
    def title(self) -> str:
        """What it is, for the operator."""

    def fetch_into(self, folder: Path) -> None:
        """Put both programs into ``bin/`` of an empty folder. Raises FetchError with the reason."""


def find_programs(runner: Runner | None = None, folder: Path | None = None) -> Programs | None:
    """Return programs of a supported version: on PATH, or else fetched earlier.

    Args:
        runner: Starts other programs.
        folder: Folder for fetched programs; FOLDER unless a test sets another.
    """
    runner = runner or SystemRunner()
    fetched = bin_folder(folder or FOLDER)
    for candidates in (
        (runner.which("prometheus"), runner.which("promtool")),
        (str(fetched / "prometheus"), str(fetched / "promtool")),
    ):
        prometheus, promtool = candidates
        if (
            prometheus
            and promtool
            and all(version_of(runner, one) >= OLDEST for one in (prometheus, promtool))
        ):
            return Programs(prometheus, promtool)
    return None


def require_programs() -> Programs:
    """Return what ``find_programs`` finds. Raises OperatorError when it finds nothing."""
    found = find_programs()
    if found is None:
        raise OperatorError(
            f"Prometheus {_oldest()} or later is not on PATH: run `make prometheus`, which fetches "
            f"it into {TOOLS_DIR.name}/"
        )
    return found


def ensure_programs(
    runner: Runner | None = None, folder: Path | None = None, sources: list[Source] | None = None
) -> Programs:
    """Return programs of a supported version; fetch them if there are none.

    Args:
        runner: Starts other programs.
        folder: Folder for fetched programs; FOLDER unless a test sets another.
        sources: Tried in this order; None for those that this machine can use.

    Raises:
        OperatorError: They can't be fetched; the message says why and what to do.
    """
    runner, folder = runner or SystemRunner(), folder or FOLDER
    found = find_programs(runner, folder)
    if found:
        return found
    reasons = []
    for source in _sources(runner) if sources is None else sources:
        say(f"Fetching Prometheus into {TOOLS_DIR.name}/ from {source.title} …")
        try:
            return _fetched(source, runner, folder)
        except (FetchError, OSError) as error:
            reasons.append(f"\n  from {source.title}: {error}")
    raise OperatorError(
        f"Prometheus {_oldest()} or later is not on PATH and can't be fetched{''.join(reasons)}\n"
        f"{_by_hand(runner)}"
    )


def version_of(runner: Runner, program: str) -> tuple[int, ...]:
    """Return the version that a program reports; empty when it doesn't start."""
    try:
        result = runner.capture([program, "--version"], {})
    except OSError:
        return ()
    found = re.search(r"version (\S+)", result.stdout + result.stderr)
    return version_numbers(found[1]) if result.ok and found else ()


def _fetched(source: Source, runner: Runner, folder: Path) -> Programs:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="prometheus-") as fresh:
        source.fetch_into(Path(fresh) / "new")
        for program in ("prometheus", "promtool"):
            path = bin_folder(Path(fresh) / "new") / program
            if version_of(runner, str(path)) < OLDEST:
                raise FetchError(f"its {program} doesn't run here, or is older than {_oldest()}")
        shutil.rmtree(folder, ignore_errors=True)
        (Path(fresh) / "new").rename(folder)
    return Programs(*(str(bin_folder(folder) / name) for name in ("prometheus", "promtool")))


def _sources(runner: Runner) -> Iterator[Source]:
    if all(runner.which(tool) for tool in ("apt-get", "apt-cache", "dpkg-deb")):
        yield DebianPackage(runner, OLDEST)
    release = release_for(platform.system(), platform.machine())
    if release:
        yield OfficialRelease(release)


def _by_hand(runner: Runner) -> str:
    by_hand = "put `prometheus` and `promtool` on PATH (https://prometheus.io/download)"
    commands = [command for tool, command in _PACKAGE_MANAGERS.items() if runner.which(tool)]
    return f"Run `{commands[0]}`, or {by_hand}" if commands else f"P{by_hand[1:]}"


def _oldest() -> str:
    return ".".join(map(str, OLDEST))
