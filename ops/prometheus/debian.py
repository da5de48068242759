"""Prometheus from a package of Debian or a derivative, unpacked rather than installed.

apt-get uses folders of our own, so that the system's package lists and cache stay as they are.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.processes.runner import Result, Runner
from ops.prometheus.fetching import FetchError, bin_folder, version_numbers

_PACKAGE: Final = "prometheus"

# Prometheus' web pages use these packages. Of the others it needs libc alone, which is there.
_OF_ITS_PAGES: Final = ("libjs-", "fonts-")

# 200 MB that no page reads.
_SOURCES_OF_DATA: Final = "usr/share/javascript/moment-timezone/data/unpacked"

_CONFIGURATION: Final = """\
// Hooks of other packages, for instance PackageKit's, would change the system's state.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
// Only the index of packages is needed.
#clear Acquire::IndexTargets::deb::Contents-deb;
#clear Acquire::IndexTargets::deb::DEP-11;
#clear Acquire::IndexTargets::deb::DEP-11-icons;
#clear Acquire::IndexTargets::deb::DEP-11-icons-hidpi;
#clear Acquire::IndexTargets::deb::CNF;
#clear Acquire::IndexTargets::deb-src::Sources;
Acquire::Languages "none";
Dir::State::lists "{folder}/lists";
// Empty, since what is installed doesn't matter here.
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Debug::NoLocking "true";
// If run by root, apt-get would download as a user who can't write to our folder.
APT::Sandbox::User "root";
"""

_LAUNCHER: Final = """\
#!/bin/sh
# Debian's build reads its web pages from /usr/share/prometheus/web by default.
here="$(dirname "$0")/.."
exec "$here/usr/bin/prometheus" --web.local-assets="$here/usr/share/prometheus/web/" "$@"
"""


_ENGLISH: Final = {"LC_ALL": "C"}


@dataclass(frozen=True)
class DebianPackage:
    """The distribution's package.

    Attributes:
        runner: Starts apt and dpkg.
        oldest: Lowest supported version.
    """

    runner: Runner
    oldest: tuple[int, ...]

    @property
    def title(self) -> str:
        """What it is, for the operator."""
        return "this system's package archive"

    def fetch_into(self, folder: Path) -> None:
        """Put both programs into ``bin/`` of an empty folder. Raises FetchError with the reason."""
        apt = folder.with_name("apt")
        downloads = apt / "downloads"
        for each in (folder, apt / "lists" / "partial", apt / "cache", downloads):
            each.mkdir(parents=True)
        (apt / "status").touch()
        configuration = apt / "apt.conf"
        configuration.write_text(_CONFIGURATION.format(folder=apt), encoding="utf-8")
        options = ["-q", "-c", str(configuration)]
        self._run(["apt-get", *options, "update"])
        self._check_version(options)
        packages = [_PACKAGE, *self._of_its_pages(options)]
        # apt-get downloads into its working folder, which the runner doesn't set.
        in_downloads = ["sh", "-c", 'cd "$0" && exec apt-get "$@"', str(downloads)]
        self._run([*in_downloads, *options, "download", *packages])
        for package in sorted(downloads.glob("*.deb")):
            self._run(["dpkg-deb", "--extract", str(package), str(folder)])
        shutil.rmtree(folder / _SOURCES_OF_DATA, ignore_errors=True)
        _link_programs(folder)

    def _check_version(self, options: list[str]) -> None:
        show = ["apt-cache", *options, "show", "--no-all-versions", _PACKAGE]
        shown = self.runner.capture(show, _ENGLISH)
        found = re.search(r"^Version: (?:\d+:)?(\S+)", shown.stdout, re.MULTILINE)
        if found is None:
            raise FetchError("it has no Prometheus")
        if version_numbers(found[1]) < self.oldest:
            raise FetchError(f"its Prometheus {found[1]} is too old")

    def _of_its_pages(self, options: list[str]) -> list[str]:
        kinds = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
        left_out = [f"--no-{kind}" for kind in kinds]
        listed = self._run(["apt-cache", *options, "depends", "--recurse", *left_out, _PACKAGE])
        return sorted(
            {line for line in listed.stdout.splitlines() if line.startswith(_OF_ITS_PAGES)}
        )

    def _run(self, command: list[str]) -> Result:
        result = self.runner.capture(command, _ENGLISH)
        if not result.ok:
            raise FetchError(result.reason)
        return result


def _link_programs(folder: Path) -> None:
    bin_folder(folder).mkdir()
    launcher = bin_folder(folder) / "prometheus"
    launcher.write_text(_LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)
    (bin_folder(folder) / "promtool").symlink_to("../usr/bin/promtool")
