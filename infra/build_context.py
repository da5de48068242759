"""The files that an image is built from, copied so that nothing but their content counts.

Pulumi's provider builds an image again, which replaces its container and cuts running streams, when
a file in the build context is new or has other contents or another mode. So the context isn't the
source folder, where an editor, a file manager or the umask of the checkout change just that. It is
a copy below ``.run`` of the files that belong in, with fixed modes and times:

* ``Dockerfile``, ``.dockerignore`` and ``requirements.txt``;
* the modules of the package, if the folder is one: regular files that Python can import, in
  folders that have an ``__init__.py``.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

DOCKERFILE = "Dockerfile"

# Relative to the working folder, as the provider wants it: absolute paths differ between machines.
_COPIES = Path(".run") / "images"

_NAMED = (DOCKERFILE, ".dockerignore", "requirements.txt")
_FILE_MODE = 0o644
_FOLDER_MODE = 0o755
# 1 January 2000: some archive formats know no time before 1980.
_MODIFIED_SECONDS = 946_684_800


def staged(folder: str) -> str:
    """Copy what belongs into an image's build context, and return the copy's relative path.

    A copy that is up to date already isn't touched: another command may be building from it.

    Args:
        folder: The source folder, relative to the working folder.

    Raises:
        OSError: A file can't be read, or the copy can't be written.
    """
    source, copy = Path(folder), _COPIES / folder
    wanted = {path: (source / path).read_bytes() for path in sorted(_members(source))}
    if _found(copy) != wanted:
        _write(copy, wanted)
    return copy.as_posix()


def _members(source: Path) -> Iterator[Path]:
    for name in _NAMED:
        if _is_regular(source / name):
            yield Path(name)
    for module in _modules(source):
        yield module.relative_to(source)


def _modules(folder: Path) -> Iterator[Path]:
    if not _is_regular(folder / "__init__.py"):
        return
    for entry in folder.iterdir():
        if entry.suffix == ".py" and entry.stem.isidentifier() and _is_regular(entry):
            yield entry
        elif entry.name.isidentifier() and entry.is_dir() and not entry.is_symlink():
            yield from _modules(entry)


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _found(copy: Path) -> dict[Path, bytes] | None:
    """Return the content of a copy; None if any of it isn't as `_write` leaves it."""
    found: dict[Path, bytes] = {}
    for path in [copy, *copy.rglob("*")]:
        if path.is_symlink() or not path.exists():
            return None
        status = path.stat()
        mode = _FOLDER_MODE if path.is_dir() else _FILE_MODE
        if status.st_mode & 0o7777 != mode or status.st_mtime != _MODIFIED_SECONDS:
            return None
        if path.is_file():
            found[path.relative_to(copy)] = path.read_bytes()
    return found


def _write(copy: Path, files: dict[Path, bytes]) -> None:
    if copy.exists():
        shutil.rmtree(copy)
    for path, content in files.items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(content)
    # The deepest first: a new entry would change its folder's time.
    for path in sorted([copy, *copy.rglob("*")], reverse=True):
        path.chmod(_FOLDER_MODE if path.is_dir() else _FILE_MODE)
        os.utime(path, (_MODIFIED_SECONDS, _MODIFIED_SECONDS))
