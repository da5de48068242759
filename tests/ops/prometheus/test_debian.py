"""Unpacking a package from an archive of small ones.

Each test runs with stand-ins for apt and dpkg. On Debian and its derivatives it runs with the real
ones too.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from ops.checkout import ROOT
from ops.processes.runner import Result, SystemRunner
from ops.prometheus.debian import DebianPackage
from ops.prometheus.fetching import FetchError
from ops.prometheus.programs import OLDEST, version_of
from tests.ops.prometheus.stand_in_apt import put_apt
from tests.ops.prometheus.stand_ins import put_programs

NOBODY = 65534

# The rights are given up once all is imported, since the checkout may be closed to others.
AS_AN_ORDINARY_USER = f"""
import os, sys
from pathlib import Path
from ops.prometheus.debian import DebianPackage
from ops.prometheus.programs import OLDEST
from tests.ops.prometheus.test_debian import Runner

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
DebianPackage(Runner(), OLDEST).fetch_into(Path(sys.argv[1]))
"""

HAS_APT = all(shutil.which(program) for program in ("apt-get", "apt-cache", "dpkg-deb"))


class Runner(SystemRunner):
    """Runs programs in a folder that any user may enter, unlike perhaps the checkout."""

    def capture(self, command: Sequence[str], environ: Mapping[str, str]) -> Result:
        done = subprocess.run(
            command,
            cwd="/",
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder that every user may write to."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="packages-") as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.fixture(params=["stand-ins", *(["the system's apt"] if HAS_APT else [])])
def archive(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an archive of packages, the only one that apt uses."""
    packages = folder / "archive"
    packages.mkdir()
    if request.param == "stand-ins":
        put_apt(folder / "apt-programs", packages)
        path = os.pathsep.join([str(folder / "apt-programs"), os.environ["PATH"]])
        monkeypatch.setenv("PATH", path)
    sources = folder / "sources.list"
    sources.write_text(f"deb [trusted=yes] copy:{packages} ./\n", encoding="utf-8")
    configuration = folder / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "/dev/null";\n'
        # A hook such as PackageKit's, which must not run.
        f'APT::Update::Post-Invoke {{ "touch {folder}/hook-was-run"; }};\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("APT_CONFIG", str(configuration))
    return packages


def add_package(archive: Path, name: str, version: str, *, depends: str = "") -> None:
    """Build a package from the folder of its name, and list it."""
    content = archive.with_name(name)
    (content / "DEBIAN").mkdir(parents=True)
    control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: me <me@here>\n"
    control += f"Depends: {depends}\n" if depends else ""
    control += "Description: a stand-in\n"
    (content / "DEBIAN" / "control").write_text(control, encoding="ascii")
    file = archive / f"{name}.deb"
    build = ["dpkg-deb", "--root-owner-group", "--build", str(content), str(file)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    data = file.read_bytes()
    with (archive / "Packages").open("a", encoding="ascii") as index:
        index.write(
            f"{control}Filename: ./{name}.deb\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        )


def add_prometheus(archive: Path, version: str) -> None:
    content = archive.with_name("prometheus")
    put_programs(content / "usr" / "bin", version)
    pages = content / "usr" / "share" / "prometheus" / "web" / "static"
    pages.mkdir(parents=True)
    (pages / "jquery").symlink_to("../../../javascript/jquery")
    add_package(archive, "prometheus", version, depends="libjs-jquery (>= 3), adduser")
    script = archive.with_name("libjs-jquery") / "usr" / "share" / "javascript" / "jquery" / "j.js"
    script.parent.mkdir(parents=True)
    script.touch()
    add_package(archive, "libjs-jquery", "3.6")
    add_package(archive, "adduser", "3.1")


def test_an_unprivileged_user_can_unpack_the_package(archive: Path, folder: Path) -> None:
    add_prometheus(archive, "2.42.0+ds-5")
    new = folder / "tools" / "new"

    command = [sys.executable, "-c", AS_AN_ORDINARY_USER, str(new)]
    subprocess.run(command, cwd=ROOT, check=True)

    assert not (folder / "hook-was-run").exists()
    for program in ("prometheus", "promtool"):
        assert version_of(Runner(), str(new / "bin" / program)) == (2, 42, 0)
    assert not (new / "usr" / "sbin").exists()


def test_prometheus_finds_its_pages_wherever_it_was_unpacked(archive: Path, folder: Path) -> None:
    add_prometheus(archive, "2.42.0+ds-5")
    DebianPackage(Runner(), OLDEST).fetch_into(folder / "new")
    there = (folder / "new").rename(folder / "elsewhere")
    (there / "usr" / "bin" / "prometheus").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')

    shown = Runner().capture([str(there / "bin" / "prometheus"), "--config.file=a b"], {}).stdout

    assets, given = shown.splitlines()
    flag, _, pages = assets.partition("=")
    assert (flag, given) == ("--web.local-assets", "--config.file=a b")
    assert (Path(pages) / "static" / "jquery" / "j.js").exists()


def test_a_version_that_is_too_old_is_not_downloaded(archive: Path, folder: Path) -> None:
    add_prometheus(archive, "2.31.2+ds1-1")
    (archive / "prometheus.deb").unlink()

    with pytest.raises(FetchError, match=r"its Prometheus 2\.31\.2\+ds1-1 is too old"):
        DebianPackage(Runner(), OLDEST).fetch_into(folder / "new")


def test_an_archive_without_prometheus_is_reported(archive: Path, folder: Path) -> None:
    add_package(archive, "adduser", "3.1")

    with pytest.raises(FetchError, match="it has no Prometheus"):
        DebianPackage(Runner(), OLDEST).fetch_into(folder / "new")


def test_an_archive_that_cannot_be_reached_is_reported_in_apt_s_words(
    archive: Path, folder: Path
) -> None:
    archive.rmdir()

    with pytest.raises(FetchError, match=r"^E: "):
        DebianPackage(Runner(), OLDEST).fetch_into(folder / "new")
