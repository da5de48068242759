"""The official release, from a local server that has a small one."""

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from ops.checkout import ROOT
from ops.processes.runner import SystemRunner
from ops.prometheus.fetching import FetchError
from ops.prometheus.programs import version_of
from ops.prometheus.release import OfficialRelease, Release, release_for
from tests.ops.local_http import Request, Response, serving
from tests.ops.prometheus.stand_ins import NAMES, put_programs

NAME = "prometheus-3.16.0.linux-amd64"


@pytest.fixture(autouse=True)
def _no_http_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def archive_of(folder: Path, names: tuple[str, ...] = NAMES) -> bytes:
    put_programs(folder, "3.16.0", names)
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.add(folder, NAME)
    return file.getvalue()


@contextmanager
def release(files: Mapping[str, bytes]) -> Iterator[OfficialRelease]:
    def answer(request: Request) -> Response:
        body = files.get(request.path.removeprefix("/v3.16.0/"))
        return Response(404) if body is None else Response(body=body)

    with serving(answer) as url:
        yield OfficialRelease(Release(f"{url}/v3.16.0", NAME))


def sums(**digests: str) -> bytes:
    return "".join(f"{digest}  {name}.tar.gz\n" for name, digest in digests.items()).encode()


def test_both_programs_are_unpacked(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "made")
    listed = sums(**{"prometheus-3.16.0.darwin-arm64": "0" * 64, NAME: _sha256(archive)})

    with release({f"{NAME}.tar.gz": archive, "sha256sums.txt": listed}) as official:
        official.fetch_into(tmp_path / "new")

    runner = SystemRunner()
    fetched = [version_of(runner, str(tmp_path / "new" / "bin" / name)) for name in NAMES]
    assert fetched == [(3, 16, 0), (3, 16, 0)]


def test_an_archive_with_another_sum_is_refused(tmp_path: Path) -> None:
    files = {f"{NAME}.tar.gz": archive_of(tmp_path / "made"), "sha256sums.txt": sums(**{NAME: "0"})}

    with (
        release(files) as official,
        pytest.raises(FetchError, match=r"amd64.tar.gz doesn't have the SHA-256 sum"),
    ):
        official.fetch_into(tmp_path / "new")

    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("sums_file", "why"),
    [(sums(other="0"), f"doesn't list {NAME}.tar.gz"), (None, "404")],
    ids=["not listed", "no sums"],
)
def test_an_archive_without_a_sum_is_not_downloaded(
    tmp_path: Path, sums_file: bytes | None, why: str
) -> None:
    files = {} if sums_file is None else {"sha256sums.txt": sums_file}

    with release(files) as official, pytest.raises(FetchError, match=why):
        official.fetch_into(tmp_path / "new")


def test_an_archive_without_promtool_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "made", ("prometheus",))
    files = {f"{NAME}.tar.gz": archive, "sha256sums.txt": sums(**{NAME: _sha256(archive)})}

    with release(files) as official, pytest.raises(FetchError, match="promtool"):
        official.fetch_into(tmp_path / "new")


@pytest.mark.parametrize(
    ("system", "machine", "ending"),
    [
        ("Linux", "x86_64", "linux-amd64"),
        ("Linux", "aarch64", "linux-arm64"),
        ("Darwin", "arm64", "darwin-arm64"),
    ],
)
def test_the_version_is_the_stacks(system: str, machine: str, ending: str) -> None:
    project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    version = project["config"]["prometheusImage"]["default"].rpartition(":v")[2]

    found = release_for(system, machine)

    assert found
    assert found.url.endswith(f"/v{version}")
    assert found.name == f"prometheus-{version}.{ending}"


@pytest.mark.parametrize(("system", "machine"), [("Linux", "riscv64"), ("Windows", "AMD64")])
def test_other_machines_have_no_release(system: str, machine: str) -> None:
    assert release_for(system, machine) is None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
