"""Prometheus' official release from GitHub, checked against its published SHA-256 sums."""

import hashlib
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final
from urllib.error import HTTPError

import yaml

from ops.checkout import ROOT
from ops.prometheus.fetching import FetchError, bin_folder

_RELEASES: Final = "https://github.com/prometheus/prometheus/releases/download"
_TIMEOUT_SECONDS: Final = 30.0
_BLOCK: Final = 1 << 20
_SYSTEMS: Final = ("Linux", "Darwin")
_PROCESSORS: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True)
class Release:
    """One build of a release.

    Attributes:
        url: Folder that has the archive and ``sha256sums.txt``.
        name: Name of the archive, without ``.tar.gz``.
    """

    url: str
    name: str


def release_for(system: str, machine: str) -> Release | None:
    """Return the build of the version that the stack runs; None where there is none.

    Args:
        system: As ``platform.system()`` returns it.
        machine: As ``platform.machine()`` returns it.
    """
    processor = _PROCESSORS.get(machine.lower())
    if system not in _SYSTEMS or processor is None:
        return None
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    version = project["config"]["prometheusImage"]["default"].rpartition(":v")[2]
    name = f"prometheus-{version}.{system.lower()}-{processor}"
    return Release(f"{_RELEASES}/v{version}", name)


@dataclass(frozen=True)
class OfficialRelease:
    """A release on GitHub."""

    release: Release

    @property
    def title(self) -> str:
        """What it is, for the operator."""
        return f"{self.release.url} (120 MB)"

    def fetch_into(self, folder: Path) -> None:
        """Put both programs into ``bin/`` of an empty folder. Raises FetchError with the reason."""
        archive = f"{self.release.name}.tar.gz"
        file = folder.with_name(archive)
        try:
            expected = self._published_sum(archive)
            if self._download(archive, file) != expected:
                raise FetchError(f"{archive} doesn't have the SHA-256 sum that is published")
            _unpack(file, self.release.name, bin_folder(folder))
        except HTTPError as error:
            error.close()
            raise FetchError(str(error)) from error
        except (OSError, HTTPException, tarfile.TarError, KeyError) as error:
            raise FetchError(str(getattr(error, "reason", error))) from error

    def _published_sum(self, archive: str) -> str:
        with self._open("sha256sums.txt") as response:
            for line in response.read().decode("ascii", "replace").splitlines():
                digest, _, name = line.partition("  ")
                if name == archive:
                    return str(digest)
        raise FetchError(f"sha256sums.txt doesn't list {archive}")

    def _download(self, archive: str, file: Path) -> str:
        """Download to a file; return its SHA-256 sum."""
        digest = hashlib.sha256()
        with self._open(archive) as response, file.open("wb") as output:
            while block := response.read(_BLOCK):
                digest.update(block)
                output.write(block)
        return digest.hexdigest()

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        with urllib.request.urlopen(  # noqa: S310 (a fixed scheme)
            f"{self.release.url}/{name}", timeout=_TIMEOUT_SECONDS
        ) as response:
            yield response


def _unpack(file: Path, name: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    with tarfile.open(file) as archive:
        for program in ("prometheus", "promtool"):
            content = archive.extractfile(f"{name}/{program}")
            if content is None:
                raise FetchError(f"{name}/{program} is not a file")
            with content, (folder / program).open("wb") as output:
                while block := content.read(_BLOCK):
                    output.write(block)
            (folder / program).chmod(0o755)
